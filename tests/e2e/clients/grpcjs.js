// npm's grpc-js, a third implementation of gRPC beside C++'s and ours: HTTP/2 is Node's own.
// Arguments: HOST:PORT, the tree's root, the folder with node_modules.
'use strict';
const fs = require('fs');
const path = require('path');
const { createRequire } = require('module');

const [address, root, modules] = process.argv.slice(2);
const fromDeps = createRequire(path.join(path.resolve(modules), 'package.json'));
const grpc = fromDeps('@grpc/grpc-js');
const loader = fromDeps('@grpc/proto-loader');

const OPTIONS = {
  keepCase: true, defaults: true, enums: String, includeDirs: [path.join(root, 'proto')],
};
const load = (file) =>
  grpc.loadPackageDefinition(loader.loadSync(path.join(root, 'proto', file), OPTIONS));
const rows = fs.readFileSync(path.join(root, 'examples/golden/iris.1.jsonl'), 'utf8')
  .trim().split('\n').map((line) => JSON.parse(line));
// A proxy of the environment never applies to this machine itself.
const CHANNEL = { 'grpc.enable_http_proxy': 0 };

let passed = 0;
let failed = 0;
function check(what, ok, detail = '') {
  if (ok) {
    passed += 1;
  } else {
    failed += 1;
    console.log(`FAILED ${what}: ${detail}`);
  }
}

// A call as a promise of {error, answer}; every call has an end.
function call(client, method, request, { within = 20000, metadata = new grpc.Metadata() } = {}) {
  return new Promise((resolve) => {
    client[method](request, metadata, { deadline: Date.now() + within },
      (error, answer) => resolve({ error, answer }));
  });
}
const right = ({ error, answer }, row) =>
  !error && answer.label === row.label && Math.abs(answer.confidence - row.confidence) < 1e-5;
const shown = ({ error, answer }) => (error ? error.message : JSON.stringify(answer));

async function unary(client) {
  for (const row of rows.slice(0, 20)) {
    const got = await call(client, 'Predict', { model: 'iris', features: row.features });
    check('a row', right(got, row), shown(got));
  }
  const metadata = new grpc.Metadata();
  metadata.set('x-user-id', 'u1');
  const got = await call(client, 'Predict', { model: 'iris', features: rows[0].features },
    { metadata });
  check('with a user id', right(got, rows[0]), shown(got));
}

async function errors(client) {
  const cases = [
    ['unknown model', { model: 'nothere', features: [1] }, grpc.status.NOT_FOUND, 'nothere'],
    ['wrong width', { model: 'iris', features: [1] }, grpc.status.INVALID_ARGUMENT, '4'],
    ['no features', { model: 'iris' }, grpc.status.INVALID_ARGUMENT, 'features'],
    ['a name that is not ASCII', { model: 'iris', named_features: { 'sépale 100%': 1 } },
      grpc.status.INVALID_ARGUMENT, 'sépale 100%'],
  ];
  for (const [what, request, code, text] of cases) {
    const { error } = await call(client, 'Predict', request);
    check(`${what}: code`, error && error.code === code, error && error.message);
    check(`${what}: message`, error && error.details.includes(text), error && error.details);
  }
}

async function deadline(client) {
  // Enough work that it cannot be done in time.
  const wide = { model: 'digits', features: new Array(64 * 5000).fill(1), rows: 5000 };
  const { error } = await call(client, 'Predict', wide, { within: 3 });
  check('deadline', error && error.code === grpc.status.DEADLINE_EXCEEDED, error && error.message);
  const got = await call(client, 'Predict', { model: 'iris', features: rows[0].features });
  check('after a deadline the client still serves', right(got, rows[0]), shown(got));
}

async function concurrent(client) {
  const chosen = Array.from({ length: 500 }, (_, i) => rows[i % rows.length]);
  const got = await Promise.all(chosen.map((row) =>
    call(client, 'Predict', { model: 'iris', features: row.features })));
  const wrong = got.filter((answer, i) => !right(answer, chosen[i]));
  check('500 calls at once', wrong.length === 0,
    `${wrong.length} failed, the first: ${wrong.length && shown(wrong[0])}`);
}

async function gzip(Client) {
  const client = new Client(address, grpc.credentials.createInsecure(),
    { ...CHANNEL, 'grpc.default_compression_algorithm': 2 });
  const many = { model: 'iris', rows: 200, features: rows.slice(0, 1).flatMap(
    (row) => new Array(200).fill(row.features).flat()) };
  const got = await call(client, 'Predict', many);
  check('gzip', right(got, rows[0]) && got.answer.labels.length === 200, shown(got).slice(0, 200));
  client.close();
}

async function health() {
  const { Health } = load('grpc/health.proto').grpc.health.v1;
  const client = new Health(address, grpc.credentials.createInsecure(), CHANNEL);
  for (const service of ['', 'PredictionService']) {
    const got = await call(client, 'Check', { service });
    check(`health of '${service}'`, !got.error && got.answer.status === 'SERVING', shown(got));
  }
  const { error } = await call(client, 'Check', { service: 'nothing' });
  check('health of nothing', error && error.code === grpc.status.NOT_FOUND, error && error.message);
  const status = await new Promise((resolve) => {
    const watch = client.Watch({ service: '' });
    watch.on('error', () => resolve('an error'));
    watch.on('data', (answer) => {
      resolve(answer.status);
      watch.cancel();
    });
  });
  check('watching', status === 'SERVING', status);
  client.close();
}

async function main() {
  const { PredictionService } = load('prediction.proto');
  const client = new PredictionService(address, grpc.credentials.createInsecure(), CHANNEL);
  await unary(client);
  await errors(client);
  await deadline(client);
  await concurrent(client);
  client.close();
  await gzip(PredictionService);
  await health();
  console.log(`grpcjs_client: ${passed} passed, ${failed} failed`);
  process.exit(failed === 0 && passed > 0 ? 0 : 1);
}

main();
