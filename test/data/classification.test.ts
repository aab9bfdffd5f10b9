import { describe, expect, it } from 'vitest';
import { classification } from '../../src/data/classification.js';
import { parseCsv } from '../../src/data/csv.js';
import { PENGUIN_CATEGORIES, PENGUIN_LABEL, penguins } from '../../src/data/penguins.js';
import { DataError } from '../../src/errors.js';

const read = (text: string, label = 'y', categorical: string[] = []) =>
  classification(parseCsv(text, 'x.csv'), { label, categorical });

describe('classification', () => {
  it('orders classes, keeps feature order, and expands categories into 0/1 columns', () => {
    const data = read('a,y,c\n1.5,q,red\n-2e1,p,blue\n+.5,q,red\n4.,p,red\n', 'y', ['c']);
    expect(data.featureNames).toEqual(['a', 'c=blue', 'c=red']);
    expect(data.numeric).toEqual([true, false, false]);
    expect([...data.features]).toEqual([1.5, 0, 1, -20, 1, 0, 0.5, 0, 1, 4, 0, 1]);
    expect(data.classes).toEqual(['p', 'q']);
    expect([...data.labels]).toEqual([1, 0, 1, 0]);
  });

  it('drops rows with a missing feature, category or label, and counts them', () => {
    const data = read('a,y,c\n1,p,u\n,p,u\n2,,u\n3,q,NA\n4,q,u\n5,p,u\n6,q,u\n', 'y', ['c']);
    expect(data.dropped).toBe(3);
    expect(data.rows).toBe(4);
    expect([...data.features]).toEqual([1, 1, 4, 1, 5, 1, 6, 1]);
  });

  it.each(['abc', '1,5', '0x10', '12kg', 'Infinity', '1e999', '1 2', '--1'])(
    'names row and column of the non-numeric cell %j',
    (cell) => {
      const text = `a,b,y\n1,2,p\n1,"${cell}",p\n1,2,q\n1,2,q\n`;
      expect(() => read(text)).toThrow(
        `x.csv: row 2 (line 3), column "b": expected a finite number, got ${JSON.stringify(cell)}`,
      );
      try {
        read(text);
      } catch (error) {
        expect(error).toBeInstanceOf(DataError);
        expect(error).toMatchObject({ code: 'ERR_DATA', row: 2, column: 'b' });
      }
    },
  );

  it('refuses unknown columns, and hints at another separator', () => {
    expect(() => read('a,y\n1,p\n', 'z')).toThrow('unknown column "z"; the columns are "a", "y"');
    expect(() => read('a;y\n1;p\n', 'y')).toThrow('cells must be separated by commas');
  });

  it('refuses a table without rows, features, or enough classes', () => {
    expect(() => read('a,y\n')).toThrow('zero rows below its header');
    expect(() => read('a,y\n,p\nNA,q\n')).toThrow('zero rows are left, all 2 have a missing value');
    expect(() => read('y\np\nq\n')).toThrow('no feature column');
    expect(() => read('a,y\n1,p\n2,p\n,q\n')).toThrow(
      'column "y" has one class, "p" after 1 rows with missing values were dropped',
    );
  });

  it('refuses a class with a single row, and names the row', () => {
    expect(() => read('a,y\n1,p\n2,p\n3,q\n')).toThrow('class "q" has a single row, row 3 (line 4)');
    expect(() => read('a,y\n1,1.5\n2,2.5\n3,3.5\n')).toThrow('and so have 2 other classes');
  });
});

describe('penguins', () => {
  it('has 344 birds, of which 333 are complete: 146 Adelie, 68 Chinstrap, 119 Gentoo', () => {
    const table = penguins();
    expect(table.rows).toHaveLength(344);
    const data = classification(table, { label: PENGUIN_LABEL, categorical: PENGUIN_CATEGORIES });
    expect(data.rows).toBe(333);
    expect(data.dropped).toBe(11);
    expect(data.classes).toEqual(['Adelie', 'Chinstrap', 'Gentoo']);
    expect(data.classes.map((_, k) => data.labels.filter((label) => label === k).length)).toEqual([
      146, 68, 119,
    ]);
    expect(data.featureNames.filter((_, j) => !data.numeric[j])).toEqual([
      'Island=Biscoe',
      'Island=Dream',
      'Island=Torgersen',
      'Sex=FEMALE',
      'Sex=MALE',
    ]);
  });
});
