# gearman-worker stream --function reverse -- ruby examples/ruby/reverse.rb
require_relative "gearman_stream"

GearmanStream.run do |job|
  raise ArgumentError, "nothing to reverse" if job.workload.empty?

  puts "reversing #{job.workload.bytesize} bytes" # goes to the worker's log
  job.status(1, 2)
  job.workload.reverse
end
