// What the clients have in common. Each is called with the URL of a server that has the plugin of
// tests/it/graphql/clients.rs, and a token.
import assert from 'node:assert/strict';
import { File } from 'node:buffer';

export const [url, token] = process.argv.slice(2);
export const socketUrl = url.replace('http', 'ws');
export const authorization = `Bearer ${token}`;

export const QUERY = 'query Greet($name: String!) { c_greet(name: $name) }';
export const MUTATION = 'mutation Add($text: String!) { c_add(text: $text) { id text } }';
export const UPLOAD = 'mutation Keep($file: Upload!) { c_keep(file: $file) { name size text } }';
export const SUBSCRIPTION = 'subscription Added { c_added { id text } }';

export const file = () => new File(['hello from a file'], 'hello.txt', { type: 'text/plain' });

// Checks what each operation gives. `operations` has a function for each of them; `subscribe` is given a
// function that wants every value, and gives one that ends it.
export async function check(name, { query, mutate, upload, subscribe }) {
  assert.deepEqual(await query(QUERY, { name: 'Ada' }), { c_greet: 'Hello, Ada' });
  const added = await mutate(MUTATION, { text: 'first' });
  assert.equal(added.c_add.text, 'first');
  assert.deepEqual(await upload(UPLOAD, { file: file() }), {
    c_keep: { name: 'hello.txt', size: 17, text: 'hello from a file' },
  });
  const seen = [];
  const end = subscribe(SUBSCRIPTION, (value) => seen.push(value.c_added.text));
  const deadline = Date.now() + 10_000;
  for (let i = 0; seen.length < 3; i += 1) {
    assert.ok(Date.now() < deadline, `${name} has heard ${JSON.stringify(seen)}`);
    await mutate(MUTATION, { text: `text ${i}` });
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const first = Number(seen[0].split(' ')[1]);
  seen.forEach((text, i) => assert.equal(text, `text ${first + i}`));
  await end();
  console.log(`${name}: query, mutation, upload and subscription`);
  process.exit(0);
}
