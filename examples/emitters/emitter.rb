# Publish a backend's events to the sidecar. Copy this file; it needs `gem install redis`.
#
#   emitter = Emitter.new
#   emitter.report(status: "success", order_id: "1001", product_id: "sku-1", latency_ms: 42.5)
#
# `report` only adds to a buffer: it never waits for Redis and never raises, so it cannot delay or fail an order. A thread
# publishes what is in the buffer, in order. While Redis is away, the buffer keeps the newest 10,000 events. Those it
# drops leave a hole in the numbers, which the sidecar shows as missed.

require "json"
require "redis"
require "socket"

# Numbers events and publishes them in the background; share one between all threads of a process.
class Emitter
  URL = ENV.fetch("REDIS_URL", "redis://127.0.0.1:6379/0")
  NAME = "flash_sale:events" # of the stream, or of the channel
  BUFFER_EVENTS = 10_000
  BATCH_EVENTS = 100 # published at once
  HEARTBEAT_SECONDS = 2
  RETRY_SECONDS = 0.5
  CLOSE_SECONDS = 5 # how long the end of the process may wait for Redis

  def initialize(transport = "stream")
    @transport = transport
    @lock = Mutex.new
    @wake = ConditionVariable.new
    @closing = false
    at_exit { close }
  end

  def report(event)
    @lock.synchronize do
      start if @pid != Process.pid # at first, and in a forked process, which has no threads of its parent
      @seq += 1
      begin
        @buffer << JSON.generate({ ts: Time.now.to_f, **event, **@producer, seq: @seq })
      rescue StandardError => error
        warn "An event is no JSON, and is missed: #{error.message}"
      end
      if @buffer.size > BUFFER_EVENTS
        @buffer.shift
        @dropped += 1
      end
      @wake.signal
    end
  end

  # Publish what is left, if Redis is there.
  def close
    return if @pid != Process.pid

    @lock.synchronize do
      @closing = true
      @wake.signal
    end
    @thread.join(CLOSE_SECONDS)
  end

  private

  def start
    @pid = Process.pid
    @producer = { producer: "#{Socket.gethostname}:#{@pid}", epoch: (Time.now.to_f * 1000).to_i }
    @seq = @dropped = 0
    @buffer = []
    @client = Redis.new(url: URL, timeout: 2, reconnect_attempts: 0)
    @thread = Thread.new { run }
  end

  # Publish what is in the buffer, and a heartbeat every few seconds, until the emitter is closed.
  def run
    last, due = 0, now # the last number published; when to send a heartbeat
    loop do
      batch, taken, closing = take(due)
      done = closing && batch.empty?
      if done || now >= due
        batch.unshift(JSON.generate({ type: "heartbeat", **@producer, seq: last }))
        due = now + HEARTBEAT_SECONDS
      end
      insist("[#{batch.join(',')}]") unless batch.empty?
      last = taken
      break if done
    end
  end

  # Wait until there is something to publish; return it, and the last number in it.
  def take(due)
    @lock.synchronize do
      @wake.wait(@lock, [due - now, 0.001].max) if @buffer.empty? && !@closing
      batch = @buffer.shift(BATCH_EVENTS)
      [batch, @seq - @buffer.size, @closing]
    end
  end

  # Publish until it succeeds. What arrives twice (an answer was lost) has the same numbers, and counts once.
  def insist(payload)
    away = false
    begin
      publish(payload)
    rescue Redis::BaseError, SystemCallError => error
      warn "Redis is away: #{error.message}" unless away
      away = true
      sleep RETRY_SECONDS
      retry
    end
    warn "Redis is back; #{@dropped} events were dropped so far" if away
  end

  def publish(payload)
    if @transport == "pubsub"
      @client.publish(NAME, payload)
    else
      @client.xadd(NAME, { e: payload }, approximate: true, maxlen: 1_000_000)
    end
  end

  def now
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end
end

# As a program, an event a line: echo '{"status":"success"}' | ruby emitter.rb pubsub
if $PROGRAM_NAME == __FILE__
  emitter = Emitter.new(*ARGV)
  $stdin.each_line { |line| emitter.report(JSON.parse(line, symbolize_names: true)) }
end
