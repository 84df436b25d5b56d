// Starts @20minutes/s3rver on a free port and says which: node s3rver.js NODE_MODULES DIRECTORY
// BUCKET. Its own command line needs a newer Node than Debian 12 has.
'use strict';

const { createRequire } = require('module');

const [modules, directory, bucket] = process.argv.slice(2);
const S3rver = createRequire(`${modules}/`)('@20minutes/s3rver');

new S3rver({
  address: '127.0.0.1',
  port: Number(process.env.S3RVER_PORT || 0),
  silent: true,
  directory,
  vhostBuckets: false,
  configureBuckets: [{ name: bucket }],
})
  .run()
  .then(({ port }) => console.log(`listening ${port}`));
