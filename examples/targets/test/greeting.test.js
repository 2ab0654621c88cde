const test = require('node:test');
const assert = require('node:assert');
const { greeting } = require('../src/greeting');

test('a name is greeted', () => {
  assert.strictEqual(greeting('Ada'), 'Hello, Ada!');
});

test('without a name the world is greeted', () => {
  assert.strictEqual(greeting(undefined), 'Hello, world!');
});
