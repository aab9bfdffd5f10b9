// The vector functions under their first name; new code includes vector_math.h, which hides no system header.
#pragma once
#include "vector_math.h"
