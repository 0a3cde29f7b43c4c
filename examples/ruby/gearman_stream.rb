# frozen_string_literal: true

# Takes jobs from `gearman-worker stream`: one message for each on descriptor 3, the answer on descriptor 4 (docs/stream.md).
#
#   require_relative "gearman_stream"
#   GearmanStream.run do |job|
#     job.status(1, 2)
#     job.workload.reverse
#   end
#
# An exception fails the job with its message. Standard output and standard error go to the worker's log.
require "json"

module GearmanStream
  # One job; workload is a binary string.
  class Job
    attr_reader :function, :handle, :unique, :workload

    def initialize(stream, header, workload)
      @stream = stream
      @id = header["id"]
      @function, @handle, @unique = header.values_at("function", "handle", "unique")
      @workload = workload
    end

    # Reports the progress of the job to the client.
    def status(numerator, denominator)
      @stream.send_message({ type: "status", id: @id, numerator: numerator, denominator: denominator })
    end

    # Sends a part of the result now.
    def data(part) = @stream.send_message({ type: "data", id: @id }, part)

    # Sends a warning now.
    def warning(text) = @stream.send_message({ type: "warning", id: @id }, text)
  end

  # The two descriptors.
  class Stream
    def initialize
      @in = IO.for_fd(3, "rb")
      @out = IO.for_fd(4, "wb")
    rescue Errno::EBADF
      abort "descriptors 3 and 4 are not open: start this by gearman-worker stream -- ruby ..."
    end

    def read_message
      line = @in.gets
      return nil if line.nil? # the worker wants no more of this process

      header = JSON.parse(line)
      size = header.fetch("bytes", 0)
      body = size.zero? ? "".b : @in.read(size)
      return nil if body.nil? || body.bytesize < size

      [header, body]
    end

    def send_message(header, body = "")
      body = body.to_s.b
      header[:bytes] = body.bytesize
      @out.write("#{JSON.generate(header)}\n".b, body)
      @out.flush
    end
  end

  # Runs jobs until the worker has no more; the block gets a Job and returns the result.
  def self.run
    $stdout.sync = true
    stream = Stream.new
    stream.read_message # the worker's hello
    stream.send_message({ type: "ready", version: 1 })
    while (header, body = stream.read_message)
      if header["type"] == "ping"
        stream.send_message({ type: "pong", id: header["id"] })
        next
      end
      begin
        result = yield Job.new(stream, header, body)
        stream.send_message({ type: "complete", id: header["id"] }, result)
      rescue StandardError => e
        warn e.full_message(highlight: false)
        stream.send_message({ type: "fail", id: header["id"] }, e.message)
      end
    end
  end
end
