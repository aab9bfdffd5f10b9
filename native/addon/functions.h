// The addon's functions, as declared in src/device/cpu/native.ts; each family in its own file adds its own to the exports.
#pragma once
#include <napi.h>

#include "errors.h"

namespace unrolled::addon {

void exportEngines(Napi::Object exports);   // info, counters, openEngine, engineInfo, dispose
void exportPrograms(Napi::Object exports);  // loadProgram, setData, arenaBytes
void exportStates(Napi::Object exports);    // createState, importState, exportState, gatherState, stateInfo
void exportRuns(Napi::Object exports);      // run, loadReverse, reverseBytes, runReverse, cancel, progress
void exportFunctionCalls(Napi::Object exports);  // loadFunction, callFunction, callFunctionAsync
void exportNoise(Napi::Object exports);     // fillNormal, addNormal, weightedRowSum

template <Napi::Value (*body)(const Napi::CallbackInfo&)>
void exportFunction(Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New<guarded<body>>(exports.Env(), name));
}

}  // namespace unrolled::addon
