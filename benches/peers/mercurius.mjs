// The field of benches/host/throughput.rs in mercurius with its JIT, and Pothos: node mercurius.mjs PORT
import SchemaBuilder from '@pothos/core';
import Fastify from 'fastify';
import mercurius from 'mercurius';

const builder = new SchemaBuilder({});
const Hello = builder.objectRef('NodeHello').implement({
  fields: (t) => ({
    id: t.exposeID('id'),
    title: t.exposeString('title'),
    n: t.exposeInt('n'),
    tags: t.exposeStringList('tags'),
  }),
});
builder.queryType({
  fields: (t) => ({
    node_hello: t.field({
      type: Hello,
      args: { id: t.arg.id({ required: true }) },
      resolve: (_, { id }) => ({ id, title: 'hello', n: 42, tags: ['a', 'b'] }),
    }),
  }),
});

const app = Fastify();
app.register(mercurius, { schema: builder.toSchema(), jit: 1 });
await app.listen({ port: Number(process.argv[2]) });
console.log('listening');
