// Starts @20minutes/s3rver on a free port and says which: node s3rver.js NODE_MODULES DIRECTORY
// BUCKET. Its own command line needs a newer Node than Debian 12 has.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const { createRequire } = require('module');
const path = require('path');

const [modules, directory, bucket] = process.argv.slice(2);
const load = createRequire(`${modules}/`);
const S3rver = load('@20minutes/s3rver');

// What it lacks: S3 keeps checksums that were uploaded with an object, and says them and how it is
// encrypted.
load('@20minutes/s3rver/lib/models/object').ALLOWED_METADATA.push(
  'x-amz-checksum-crc64nvme',
  'x-amz-checksum-crc32',
  'x-amz-checksum-type',
  'x-amz-server-side-encryption',
);

const server = new S3rver({
  address: '127.0.0.1',
  port: Number(process.env.S3RVER_PORT || 0),
  silent: true,
  directory,
  vhostBuckets: false,
  configureBuckets: [{ name: bucket }],
});

// And an upload in parts can be given up, and is not there afterwards, also where a part of it was
// just on its way.
const dropped = new Set();
server.middleware.unshift(async (ctx, next) => {
  const { uploadId } = ctx.query;
  if (!uploadId) return next();
  const folder = path.join(directory, bucket, '._S3rver_uploads', uploadId);
  if (!fs.existsSync(folder)) {
    ctx.status = 404;
    ctx.body = '<Error><Code>NoSuchUpload</Code></Error>';
  } else if (ctx.method === 'DELETE') {
    dropped.add(uploadId);
    fs.rmSync(folder, { recursive: true });
    ctx.status = 204;
  } else {
    try {
      await next();
    } finally {
      if (dropped.has(uploadId)) fs.rmSync(folder, { recursive: true, force: true });
    }
  }
});

// What it has otherwise than S3: the ETag of an upload in parts is made of the parts' ETags.
const { store } = server;
const join = store.putObjectMultipart.bind(store);
store.putObjectMultipart = async (bucket, uploadId, parts) => {
  const upload = path.join(directory, bucket, '._S3rver_uploads', uploadId);
  const key = fs.readFileSync(path.join(upload, 'key')).toString();
  const whole = crypto.createHash('md5');
  for (const { etag } of [...parts].sort((a, b) => a.number - b.number)) whole.update(etag, 'hex');
  const md5 = `${whole.digest('hex')}-${parts.length}`;
  const { size } = await join(bucket, uploadId, parts);
  fs.writeFileSync(store.getResourcePath(bucket, key, 'object.md5'), md5);
  return { md5, size };
};

server
  .run()
  .then(({ port }) => console.log(`listening ${port}`));
