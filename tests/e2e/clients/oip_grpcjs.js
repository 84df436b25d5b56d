// npm's grpc-js on the Open Inference Protocol, as Triton's clients in Node are written: messages
// from the .proto at run time, 64-bit numbers as texts, tensors as Buffers.
// Arguments: HOST:PORT, the tree's root, the folder with node_modules. Ends with 'PASSED FAILED'.
'use strict';
const fs = require('fs');
const path = require('path');
const { createRequire } = require('module');

const [address, root, modules] = process.argv.slice(2);
const fromDeps = createRequire(path.join(path.resolve(modules), 'package.json'));
const grpc = fromDeps('@grpc/grpc-js');
const loader = fromDeps('@grpc/proto-loader');

// camelCase names here and snake_case there: both are found in the wild.
const options = (keepCase) => ({
  keepCase, longs: String, enums: String, defaults: true, oneofs: true,
  includeDirs: [path.join(root, 'proto')],
});
function connect(keepCase = false, channel = {}) {
  const definition = loader.loadSync('oip/service.proto', options(keepCase));
  const { GRPCInferenceService } = grpc.loadPackageDefinition(definition).inference;
  return new GRPCInferenceService(address, grpc.credentials.createInsecure(),
    { 'grpc.enable_http_proxy': 0, ...channel });
}

const rows = fs.readFileSync(path.join(root, 'examples/golden/iris.1.jsonl'), 'utf8')
  .trim().split('\n').map((line) => JSON.parse(line));

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
function call(client, method, request, within = 20000) {
  return new Promise((resolve) => {
    client[method](request, { deadline: Date.now() + within },
      (error, answer) => resolve({ error, answer }));
  });
}

const shown = ({ error, answer }) => (error ? error.message : JSON.stringify(answer)).slice(0, 300);
const floats = (buffer) => Array.from({ length: buffer.length / 4 },
  (_, i) => buffer.readFloatLE(4 * i));
function texts(buffer) {
  const out = [];
  for (let at = 0; at < buffer.length;) {
    const end = at + 4 + buffer.readUInt32LE(at);
    out.push(buffer.toString('utf8', at + 4, end));
    at = end;
  }
  return out;
}

function infer(chosen, id = '', raw = true) {
  const values = chosen.flatMap((row) => row.features);
  const input = { name: 'X', datatype: 'FP32', shape: [chosen.length, 4] };
  const request = { modelName: 'iris', id, inputs: [input] };
  if (raw) {
    request.rawInputContents = [Buffer.from(Float32Array.from(values).buffer)];
  } else {
    input.contents = { fp32Contents: values };
  }
  return request;
}

function right(answer, chosen) {
  const [labels, probabilities] = answer.rawOutputContents;
  const got = floats(probabilities);
  return texts(labels).every((label, i) => label === chosen[i].label) &&
    chosen.every((row, i) => row.probabilities.every(
      (want, j) => Math.abs(want - got[3 * i + j]) < 1e-5));
}

async function about(client) {
  let got = await call(client, 'serverLive', {});
  check('live', !got.error && got.answer.live === true, shown(got));
  got = await call(client, 'serverReady', {});
  check('ready', !got.error && got.answer.ready === true, shown(got));
  got = await call(client, 'serverMetadata', {});
  check('server metadata', !got.error && got.answer.extensions.includes('binary_tensor_data'),
    shown(got));
  got = await call(client, 'modelReady', { name: 'breast_cancer', version: 'v1' });
  check('model ready', !got.error && got.answer.ready === true, shown(got));
  got = await call(client, 'modelMetadata', { name: 'iris' });
  check('model metadata', !got.error && got.answer.inputs[0].shape.join() === '-1,4' &&
    got.answer.outputs[0].datatype === 'BYTES', shown(got));
  got = await call(client, 'modelConfig', { name: 'iris' });
  check('model configuration', !got.error && got.answer.config.name === 'iris' &&
    got.answer.config.input[0].dataType === 'TYPE_FP32', shown(got));
  got = await call(client, 'repositoryIndex', {});
  check('index', !got.error && got.answer.models.some((model) =>
    model.name === 'breast_cancer' && model.version === 'v2' && model.state === 'READY'),
    shown(got));
}

async function golden(client) {
  for (const raw of [true, false]) {
    let got = await call(client, 'modelInfer', infer(rows, 'all', raw));
    check(`all rows, raw ${raw}`, !got.error && got.answer.id === 'all' && right(got.answer, rows),
      shown(got));
    for (const row of rows) {
      got = await call(client, 'modelInfer', infer([row], '', raw));
      check(`a row, raw ${raw}`, !got.error && right(got.answer, [row]), shown(got));
    }
  }
  const got = await call(client, 'modelStatistics', { name: 'iris' });
  const counted = got.error ? 0 : Number(got.answer.modelStats[0].inferenceStats.success.count);
  check('statistics count them', counted >= 2 * (rows.length + 1), shown(got));
}

// Answers to requests of one stream, until the server ends it or `stop` says so.
function stream(client, requests, stop = () => false) {
  return new Promise((resolve) => {
    const answers = [];
    const both = client.modelStreamInfer({ deadline: Date.now() + 20000 });
    both.on('data', (answer) => {
      answers.push(answer);
      if (stop(answers)) both.cancel();
    });
    both.on('error', (error) => resolve({ answers, code: error.code }));
    both.on('status', ({ code }) => resolve({ answers, code }));
    requests.forEach((request) => both.write(request));
    both.end();
  });
}

async function streams(client) {
  let { answers, code } = await stream(client, rows.map((row, i) => infer([row], String(i))));
  check('stream ends well', code === grpc.status.OK, code);
  check('stream: every row, in order', answers.length === rows.length && answers.every(
    ({ inferResponse, errorMessage }, i) => errorMessage === '' && inferResponse.id === String(i) &&
      right(inferResponse, [rows[i]])), answers.length);
  const bad = { modelName: 'nothere', id: 'bad' };
  ({ answers, code } = await stream(client, [infer([rows[0]]), bad, infer([rows[1]])]));
  check('an error does not end a stream', code === grpc.status.OK && answers.length === 3 &&
    answers[1].errorMessage.includes('nothere') && answers[1].inferResponse.id === 'bad' &&
    right(answers[2].inferResponse, [rows[1]]), JSON.stringify(answers).slice(0, 300));
  ({ code } = await stream(client, rows.map((row) => infer([row])), (all) => all.length === 5));
  check('a cancelled stream', code === grpc.status.CANCELLED, code);
}

async function errors(client) {
  const short = infer([rows[0]]);
  short.rawInputContents = [Buffer.alloc(4)];
  const cases = [
    ['unknown model', 'modelInfer', { modelName: 'nothere' }, grpc.status.NOT_FOUND, 'nothere'],
    ['unknown version', 'modelReady', { name: 'iris', version: 'v9' }, grpc.status.NOT_FOUND, 'v9'],
    ['too few bytes', 'modelInfer', short, grpc.status.INVALID_ARGUMENT, '16'],
    ['no inputs', 'modelInfer', { modelName: 'iris' }, grpc.status.INVALID_ARGUMENT, "'X'"],
    ['control', 'repositoryModelLoad', { modelName: 'iris' }, grpc.status.UNAVAILABLE, 'explicit'],
    ['shared memory', 'systemSharedMemoryStatus', {}, grpc.status.UNIMPLEMENTED, 'shm'],
  ];
  for (const [what, method, request, code, text] of cases) {
    const { error } = await call(client, method, request);
    check(`${what}: code`, error && error.code === code, error && error.message);
    check(`${what}: message`, error && error.details.includes(text), error && error.details);
  }
}

async function time(client) {
  const many = Array.from({ length: 100000 }, () => rows[0]);
  const { error } = await call(client, 'modelInfer', infer(many), 5);
  check('deadline', error && error.code === grpc.status.DEADLINE_EXCEEDED, error && error.message);
  const got = await call(client, 'modelInfer', infer([rows[0]]));
  check('after it the client still serves', !got.error && right(got.answer, [rows[0]]), shown(got));
  const all = await Promise.all(Array.from({ length: 500 }, (_, i) =>
    call(client, 'modelInfer', infer([rows[i % rows.length]], String(i)))));
  const wrong = all.filter(({ error: e, answer }, i) =>
    e || answer.id !== String(i) || !right(answer, [rows[i % rows.length]]));
  check('500 calls at once', wrong.length === 0, wrong.length && shown(wrong[0]));
}

async function others() {
  const snake = connect(true);
  let got = await call(snake, 'modelInfer', {
    model_name: 'iris', inputs: [{ name: 'X', datatype: 'FP32', shape: ['1', '4'],
      contents: { fp32_contents: rows[0].features } }],
    outputs: [{ name: 'probabilities', parameters: { classification: { int64_param: '1' } } }],
  });
  check('snake_case and classification', !got.error &&
    /^\d\.\d+:\d:[a-z]+$/.test(texts(got.answer.raw_output_contents[0])[0]) &&
    got.answer.raw_output_contents.length === 1, shown(got));
  snake.close();
  const gzip = connect(false, { 'grpc.default_compression_algorithm': 2 });
  got = await call(gzip, 'modelInfer', infer(rows));
  check('gzip', !got.error && right(got.answer, rows), shown(got));
  gzip.close();
}

async function main() {
  const client = connect();
  await about(client);
  await golden(client);
  await streams(client);
  await errors(client);
  await time(client);
  await others();
  client.close();
  console.log(`${passed} ${failed}`);
}

main();
