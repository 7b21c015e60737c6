import { ApolloClient, ApolloLink, InMemoryCache, gql } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { createPersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { getMainDefinition } from '@apollo/client/utilities';
import UploadHttpLink from 'apollo-upload-client/UploadHttpLink.mjs';
import { createHash } from 'node:crypto';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

import { authorization, check, socketUrl, url } from './common.mjs';

const http = new UploadHttpLink({ uri: url, headers: { authorization } });
const socket = new GraphQLWsLink(createClient({
  url: socketUrl,
  webSocketImpl: WebSocket,
  connectionParams: { Authorization: authorization },
}));
const isSubscription = ({ query }) => getMainDefinition(query).operation === 'subscription';
const isQuery = ({ query }) => getMainDefinition(query).operation === 'query';
// Queries are sent by their hash first, and written out only if the server does not know it.
const persisted = createPersistedQueryLink({
  sha256: (text) => createHash('sha256').update(text).digest('hex'),
}).concat(http);
const client = new ApolloClient({
  link: ApolloLink.split(isSubscription, socket, ApolloLink.split(isQuery, persisted, http)),
  cache: new InMemoryCache(),
});

const mutate = async (text, variables) =>
  (await client.mutate({ mutation: gql(text), variables })).data;
// The cache adds __typename to what has a type.
const plain = (value) => JSON.parse(JSON.stringify(value, (key, inner) => (key === '__typename' ? undefined : inner)));

await check('apollo', {
  query: async (text, variables) =>
    plain((await client.query({ query: gql(text), variables, fetchPolicy: 'no-cache' })).data),
  mutate: async (text, variables) => plain(await mutate(text, variables)),
  upload: async (text, variables) => plain(await mutate(text, variables)),
  subscribe: (text, each) => {
    const subscription = client.subscribe({ query: gql(text) }).subscribe({
      next: (result) => each(result.data),
      error: (error) => { throw error; },
    });
    return () => subscription.unsubscribe();
  },
});
