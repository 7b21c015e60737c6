import { Client, fetchExchange, subscriptionExchange } from '@urql/core';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

import { authorization, check, socketUrl, url } from './common.mjs';

const socket = createClient({
  url: socketUrl,
  webSocketImpl: WebSocket,
  connectionParams: { Authorization: authorization },
});
const client = new Client({
  url,
  preferGetMethod: false,
  fetchOptions: { headers: { authorization } },
  exchanges: [
    fetchExchange,
    subscriptionExchange({
      forwardSubscription: (request) => ({
        subscribe: (sink) => ({
          unsubscribe: socket.subscribe({ query: request.query, variables: request.variables }, sink),
        }),
      }),
    }),
  ],
});

async function data(result) {
  const { data, error } = await result;
  if (error) throw error;
  return data;
}

await check('urql', {
  query: (text, variables) => data(client.query(text, variables, { requestPolicy: 'network-only' })),
  mutate: (text, variables) => data(client.mutation(text, variables)),
  upload: (text, variables) => data(client.mutation(text, variables)),
  subscribe: (text, each) => {
    const { unsubscribe } = client.subscription(text, {}).subscribe((result) => {
      if (result.error) throw result.error;
      each(result.data);
    });
    return unsubscribe;
  },
});
