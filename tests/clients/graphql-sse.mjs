// The client of graphql-sse: every operation over server-sent events.
import { createClient } from 'graphql-sse';

import { authorization, check, url } from './common.mjs';

const client = createClient({ url, headers: { authorization } });

async function once(query, variables) {
  for await (const result of client.iterate({ query, variables })) {
    if (result.errors) throw new Error(JSON.stringify(result.errors));
    return result.data;
  }
}

await check('graphql-sse', {
  query: once,
  mutate: once,
  upload: async (query, { file }) => {
    const form = new FormData();
    form.append('operations', JSON.stringify({ query, variables: { file: null } }));
    form.append('map', JSON.stringify({ 0: ['variables.file'] }));
    form.append('0', file);
    const headers = { authorization, accept: 'text/event-stream' };
    const response = await fetch(url, { method: 'POST', headers, body: form });
    const line = (await response.text()).split('\n').find((text) => text.startsWith('data: '));
    return JSON.parse(line.slice(6)).data;
  },
  subscribe: (query, each) =>
    client.subscribe({ query }, {
      next: (result) => each(result.data),
      error: (error) => { throw error; },
      complete: () => {},
    }),
});
