// Times of launches, graphs, waits and callbacks, for the report.
#include <flagos.h>
#include <flagos_plugin.h>

#include <atomic>
#include <cstring>
#include <memory>

#include "conformance/cases/graph_support.hpp"
#include "conformance/cases/perf.hpp"

namespace flagos::conformance {
namespace {

constexpr CaseOptions full(const char* clause) {
  return {.clause = clause, .level = Level::full, .oracle = Oracle::stat};
}

// Launches that each add 1 to one word: what was timed can be counted afterwards.
class Counter {
 public:
  explicit Counter(Context& t)
      : t_(t),
        words_(t, 1),
        kernel_(t.kernel("tl_affine")),
        arguments_(affine_arguments(words_, 1, 1)) {
    const Shape shape = shape_for(t, 1);
    desc_ = launch_desc(shape.grid, shape.block, arguments_);
  }
  Counter(const Counter&) = delete;
  Counter& operator=(const Counter&) = delete;

  void launch(flagos_stream_t* stream) {
    failure_.note(flagos_kernel_launch(stream, kernel_, &desc_));
    ++expected_;
  }
  void expect_more(std::uint32_t launches) { expected_ += launches; }
  const Words& words() const { return words_; }
  flagos_kernel_t* kernel() const { return kernel_; }
  const flagos_launch_desc_t& desc() const { return desc_; }
  void check() {
    t_.ok(failure_.status(), "every launch");
    t_.equal(words_.first(), expected_, "launches that ran");
  }

 private:
  Context& t_;
  Words words_;
  flagos_kernel_t* kernel_;
  std::vector<flagos_argument_t> arguments_;
  flagos_launch_desc_t desc_;
  FirstFailure failure_;
  std::uint32_t expected_ = 0;
};

void wait(Context& t, flagos_stream_t* stream) {
  t.ok(flagos_stream_synchronize(stream, patience_ns), "a wait for the stream");
}

}  // namespace

FLAGOS_CASE("perf.launch.latency", {full("flagos_kernel_launch: time of one, and to its end")}) {
  Stream stream(t);
  Counter counter(t);
  const std::uint32_t count = repeats(t, 200, 20);
  for (const std::uint32_t batch : {1u, 64u}) {
    t.subcase("batch=" + std::to_string(batch));
    std::vector<double> ends;
    const auto queued = take_samples(count, [&] {
      const double start = now_seconds();
      for (std::uint32_t i = 0; i < batch; ++i) counter.launch(stream);
      const double queued_at = now_seconds();
      wait(t, stream);
      ends.push_back((now_seconds() - start) * 1e6);
      return (queued_at - start) * 1e9 / batch;
    });
    measure(t, "queue, each", "ns", queued);
    measure(t, "to the end", "us", ends);
  }
  counter.check();
}

FLAGOS_CASE("perf.launch.rate", {full("flagos_kernel_launch: how many in a second")}) {
  const std::uint32_t launches = repeats(t, 4000, 400);
  for (const std::uint32_t threads : {1u, 8u}) {
    t.subcase("threads=" + std::to_string(threads));
    std::vector<std::unique_ptr<Stream>> streams;
    std::vector<std::unique_ptr<Counter>> counters;
    for (std::uint32_t i = 0; i < threads; ++i) {
      streams.push_back(std::make_unique<Stream>(t));
      counters.push_back(std::make_unique<Counter>(t));
    }
    const auto rates = take_samples(repeats(t, 10, 2), [&] {
      return launches / seconds_of([&] {
               Team team;
               for (std::uint32_t i = 0; i < threads; ++i) {
                 team.start([&, i] {
                   for (std::uint32_t n = 0; n < launches / threads; ++n)
                     counters[i]->launch(*streams[i]);
                   flagos_stream_synchronize(*streams[i], patience_ns);
                 });
               }
               team.join();
             });
    });
    for (const auto& counter : counters) counter->check();
    measure(t, "launches", "1/s", rates);
  }
}

FLAGOS_CASE("perf.host_overhead_vs_direct",
            {full("flagos_device_get_table: a launch through core and one through the table")}) {
  Stream stream(t);
  Counter counter(t);
  const flagos_plugin_t* table = nullptr;
  flagos_plugin_stream_t* native_stream = nullptr;
  flagos_plugin_kernel_t* native_kernel = nullptr;
  t.ok(flagos_device_get_table(t.device(), &table, nullptr), "the plugin's tables");
  t.ok(flagos_stream_get_plugin_object(stream, &native_stream), "the plugin's stream");
  t.ok(flagos_kernel_get_plugin_object(counter.kernel(), &native_kernel), "the plugin's kernel");
  flagos_kernel_info_t info{};
  info.struct_size = sizeof info;
  t.ok(flagos_kernel_get_info(counter.kernel(), &info), "flagos_kernel_get_info");
  // The packed form, which a plugin takes.
  std::vector<std::uint8_t> block(info.argument_bytes);
  flagos_launch_desc_t packed = counter.desc();
  for (std::uint32_t i = 0; i < packed.argument_count; ++i) {
    flagos_parameter_t parameter{};
    t.ok(flagos_kernel_get_parameter(counter.kernel(), i, &parameter), "a parameter");
    std::memcpy(block.data() + parameter.offset_bytes, &packed.arguments[i].value,
                parameter.size_bytes);
  }
  packed.argument_block = block.data();
  packed.argument_bytes = block.size();
  packed.arguments = nullptr;
  packed.argument_count = 0;

  constexpr std::uint32_t batch = 32;
  const auto each = [&](const auto& launch_one) {
    return take_samples(repeats(t, 100, 10), [&] {
      FirstFailure failure;
      const double seconds = seconds_of([&] {
        for (std::uint32_t i = 0; i < batch; ++i) failure.note(launch_one());
      });
      t.ok(failure.status(), "every launch");
      counter.expect_more(batch);
      wait(t, stream);
      return seconds * 1e9 / batch;
    });
  };
  measure(t, "through core", "ns",
          each([&] { return flagos_kernel_launch(stream, counter.kernel(), &packed); }));
  measure(t, "through the table", "ns",
          each([&] { return table->kernel->launch(native_stream, native_kernel, &packed); }));
  counter.check();
}

FLAGOS_CASE("perf.graph.launch", {.clause = "flagos_graph_exec_launch: time of a node",
                                  .level = Level::optional,
                                  .oracle = Oracle::stat,
                                  .feature = "graph"}) {
  Stream stream(t);
  for (const std::uint32_t length : {10u, 1000u}) {
    t.subcase("nodes=" + std::to_string(length));
    Counter counter(t);
    Graph graph(t);
    Nodes last;
    for (std::uint32_t i = 0; i < length; ++i) last = {graph.affine(counter.words(), 1, 1, last)};
    Executable executable(t, graph);
    std::vector<double> ends;
    const auto queued = take_samples(repeats(t, 50, 5), [&] {
      const double start = now_seconds();
      executable.launch(stream);
      const double queued_at = now_seconds();
      wait(t, stream);
      counter.expect_more(length);
      ends.push_back((now_seconds() - start) * 1e9 / length);
      return (queued_at - start) * 1e9 / length;
    });
    counter.check();
    measure(t, "queue, each", "ns", queued);
    measure(t, "to the end, each", "ns", ends);
  }
}

FLAGOS_CASE("perf.sync.latency",
            {full("flagos_stream_synchronize, flagos_event_synchronize: time")}) {
  Stream stream(t);
  Event event(t);
  Counter counter(t);
  const std::uint32_t count = repeats(t, 200, 20);
  measure(t, "stream with nothing to wait for", "ns",
          take_samples(count, [&] { return seconds_of([&] { wait(t, stream); }) * 1e9; }));
  measure(t, "stream behind one launch", "us", take_samples(count, [&] {
            counter.launch(stream);
            return seconds_of([&] { wait(t, stream); }) * 1e6;
          }));
  measure(t, "event behind one launch", "us", take_samples(count, [&] {
            counter.launch(stream);
            t.ok(flagos_event_record(event, stream), "a record");
            return seconds_of([&] {
                     t.ok(flagos_event_synchronize(event, patience_ns), "a wait for the event");
                   }) *
                   1e6;
          }));
  counter.check();
}

FLAGOS_CASE("perf.event.record", {full("flagos_event_record: time")}) {
  Stream stream(t);
  Event timed(t), plain(t, FLAGOS_EVENT_FLAG_NO_TIMING);
  Counter counter(t);
  constexpr std::uint32_t batch = 32;
  const auto record = [&](flagos_event_t* event) {
    return take_samples(repeats(t, 100, 10), [&] {
      FirstFailure failure;
      const double seconds = seconds_of([&] {
        for (std::uint32_t i = 0; i < batch; ++i) failure.note(flagos_event_record(event, stream));
      });
      t.ok(failure.status(), "every record");
      counter.launch(stream);
      t.ok(flagos_event_record(event, stream), "the last record");
      t.ok(flagos_event_synchronize(event, patience_ns), "a wait for it");
      return seconds * 1e9 / batch;
    });
  };
  measure(t, "with a time", "ns", record(timed));
  measure(t, "without", "ns", record(plain));
  counter.check();
}

FLAGOS_CASE("perf.query.overhead",
            {full("flagos_stream_query, flagos_device_get_attribute: time")}) {
  Stream stream(t);
  Counter counter(t);
  counter.launch(stream);
  wait(t, stream);
  constexpr std::uint32_t batch = 100;
  const std::uint32_t count = repeats(t, 100, 10);
  std::uint32_t done = 0;
  measure(t, "flagos_stream_query", "ns", take_samples(count, [&] {
            return seconds_of([&] {
                     for (std::uint32_t i = 0; i < batch; ++i) done += stream_done(t, stream);
                   }) *
                   1e9 / batch;
          }));
  t.equal(done, (count + 1) * batch, "queries that found the stream done");
  flagos_device_info_t info{};
  info.struct_size = sizeof info;
  measure(t, "flagos_device_get_info", "ns", take_samples(count, [&] {
            return seconds_of([&] {
                     for (std::uint32_t i = 0; i < batch; ++i)
                       t.ok(flagos_device_get_info(t.device(), &info), "flagos_device_get_info");
                   }) *
                   1e9 / batch;
          }));
  counter.check();
}

FLAGOS_CASE("perf.callback.latency", {.clause = "flagos_stream_launch_host: time to its start",
                                      .level = Level::optional,
                                      .oracle = Oracle::stat,
                                      .feature = "host_callback"}) {
  Stream stream(t);
  const Drain drain(stream);
  std::atomic<double> started{0};
  measure(t, "from the call to the start", "us", take_samples(repeats(t, 200, 20), [&] {
            started = 0;
            const double called = now_seconds();
            t.ok(flagos_stream_launch_host(
                     stream,
                     [](void* out, flagos_status_t) {
                       static_cast<std::atomic<double>*>(out)->store(now_seconds());
                     },
                     &started),
                 "a host function");
            wait(t, stream);
            t.check(started > 0, "it ran before the wait ended");
            return (started - called) * 1e6;
          }));
}

FLAGOS_CASE("perf.timeline.pingpong", {.clause = "flagos_stream_wait_timeline: time of a hop",
                                       .level = Level::optional,
                                       .oracle = Oracle::stat,
                                       .feature = "timeline"}) {
  const std::uint32_t hops = repeats(t, 200, 20);
  Stream ping(t), pong(t);
  Counter counter(t);
  flagos_timeline_t* timeline = nullptr;
  t.ok(flagos_timeline_create(t.device(), 0, &timeline), "a timeline");
  const std::unique_ptr<flagos_timeline_t, decltype(&flagos_timeline_destroy)> owner(
      timeline, &flagos_timeline_destroy);
  std::uint64_t value = 0;
  measure(t, "a launch behind the other stream's", "us", take_samples(repeats(t, 10, 2), [&] {
            return seconds_of([&] {
                     for (std::uint32_t i = 0; i < hops; ++i) {
                       flagos_stream_t* const here = i % 2 == 0 ? ping : pong;
                       t.ok(flagos_stream_wait_timeline(here, timeline, value), "a wait");
                       counter.launch(here);
                       t.ok(flagos_stream_signal_timeline(here, timeline, ++value), "a signal");
                     }
                     wait(t, ping);
                     wait(t, pong);
                   }) *
                   1e6 / hops;
          }));
  counter.check();
}

}  // namespace flagos::conformance
