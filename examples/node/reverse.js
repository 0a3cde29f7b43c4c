// gearman-worker stream --function reverse -- node examples/node/reverse.js
const { run } = require('./gearman-stream');

run(async (job) => {
  if (job.workload.length === 0) throw new Error('nothing to reverse');
  console.log('reversing', job.workload.length, 'bytes'); // goes to the worker's log
  job.status(1, 2);
  return Buffer.from(job.workload).reverse();
});
