// The client of graphql-ws. It carries no files, so those go by fetch, as the specification writes them.
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

import { authorization, check, socketUrl, url } from './common.mjs';

const client = createClient({
  url: socketUrl,
  webSocketImpl: WebSocket,
  connectionParams: { Authorization: authorization },
});

async function once(query, variables) {
  for await (const result of client.iterate({ query, variables })) {
    if (result.errors) throw new Error(JSON.stringify(result.errors));
    return result.data;
  }
}

await check('graphql-ws', {
  query: once,
  mutate: once,
  upload: async (query, { file }) => {
    const form = new FormData();
    form.append('operations', JSON.stringify({ query, variables: { file: null } }));
    form.append('map', JSON.stringify({ 0: ['variables.file'] }));
    form.append('0', file);
    const response = await fetch(url, { method: 'POST', headers: { authorization }, body: form });
    return (await response.json()).data;
  },
  subscribe: (query, each) =>
    client.subscribe({ query }, {
      next: (result) => each(result.data),
      error: (error) => { throw error; },
      complete: () => {},
    }),
});
