// Every function that submits: it returns while its stream is held, and its work is done once, in its place.
#include <flagos.h>

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "conformance/case.hpp"
#include "conformance/cases/data.hpp"
#include "conformance/cases/graph_support.hpp"

namespace flagos::conformance {
namespace {

using namespace data;

// What the submissions work on: a row of words, one for each, and what stands in it in the end.
class Bench {
 public:
  explicit Bench(Context& t) : t_(t), words_(t, 64), source_(t, 64), event_(t) {
    std::vector<std::uint8_t> bytes(64);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i + 1);
    source_.write(bytes);
    words_.write(std::vector<std::uint8_t>(64, 0));
    model_.assign(64, 0);
    kernel_ = t.kernel("data_add");
    const std::vector<flagos_argument_t> arguments{arg(words_.address()), arg(words_.address()),
                                                   arg_u32(1), arg_u32(1)};
    const auto desc = launch_desc({1}, {1}, arguments);
    t.ok(flagos_kernel_prepare(kernel_, &desc, &prepared_), "prepare a launch");
    if (t.has(FLAGOS_FEATURE_TIMELINE))
      t.ok(flagos_timeline_create(t.device(), 0, &timeline_), "a timeline");
    if (t.has(FLAGOS_FEATURE_GRAPH)) {
      graph_ = std::make_unique<Graph>(t);
      graph_->kernel(kernel_, {{1, 1, 1}, {1, 1, 1}}, arguments);
      t.ok(flagos_graph_instantiate(*graph_, &exec_), "a graph");
    }
  }
  ~Bench() {
    flagos_prepared_destroy(prepared_);
    flagos_timeline_destroy(timeline_);
    flagos_graph_exec_destroy(exec_);
  }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  struct Submission {
    const char* name;
    std::function<void(flagos_stream_t*)> submit;
  };

  // Each may come several times, in any order.
  std::vector<Submission> submissions() {
    std::vector<Submission> all;
    const auto add = [&](const char* name, auto submit) { all.push_back({name, submit}); };
    add("memory_copy",
        [&](flagos_stream_t* s) { data::copy(t_, s, words_.address(16), source_.address(16), 3); });
    add("memory_update", [&](flagos_stream_t* s) { update(s); });
    add("memory_fill", [&](flagos_stream_t* s) {
      data::fill(t_, s, words_.address(24), std::uint16_t{0x1234}, 4);
    });
    if (t_.has(FLAGOS_FEATURE_COPY_2D))
      add("memory_copy_2d", [&](flagos_stream_t* s) { copy_2d(s); });
    add("kernel_launch", [&](flagos_stream_t* s) {
      counted([&] { add_words(t_, s, words_.address(), words_.address(), 1, 1); });
    });
    add("kernel_launch_prepared", [&](flagos_stream_t* s) {
      counted(
          [&] { t_.ok(flagos_kernel_launch_prepared(s, prepared_), "launch what was prepared"); });
    });
    if (exec_ != nullptr) {
      add("graph_exec_launch", [&](flagos_stream_t* s) {
        counted([&] { t_.ok(flagos_graph_exec_launch(exec_, s), "launch a graph"); });
      });
    }
    if (t_.has(FLAGOS_FEATURE_HOST_CALLBACK))
      add("stream_launch_host", [&](flagos_stream_t* s) { host_function(s); });
    add("event_record", [&](flagos_stream_t* s) { record(t_, event_, s); });
    add("stream_wait_event", [&](flagos_stream_t* s) { wait_event(t_, s, event_); });
    if (t_.has(FLAGOS_FEATURE_STREAM_VALUE)) {
      add("stream_write_value", [&](flagos_stream_t* s) {
        t_.ok(flagos_stream_write_value(s, words_.address(48), 0x1122334455667788u, 8),
              "write a value");
      });
      add("stream_wait_value", [&](flagos_stream_t* s) {
        t_.ok(flagos_stream_write_value(s, words_.address(56), 77, 4), "write a value");
        t_.ok(flagos_stream_wait_value(s, words_.address(56), 77, 4, FLAGOS_COMPARE_EQUAL),
              "wait for it");
      });
    }
    if (timeline_ != nullptr) {
      add("stream_signal_timeline", [&](flagos_stream_t* s) {
        t_.ok(flagos_stream_signal_timeline(s, timeline_, ++signalled_), "signal a timeline");
      });
      add("stream_wait_timeline", [&](flagos_stream_t* s) {
        t_.ok(flagos_stream_wait_timeline(s, timeline_, signalled_), "wait for a timeline");
      });
    }
    if (t_.has(FLAGOS_FEATURE_PREFETCH) && t_.has(FLAGOS_FEATURE_MANAGED_MEMORY)) {
      managed_ = std::make_unique<Buffer>(t_, 4096, FLAGOS_MEMORY_KIND_MANAGED);
      add("memory_prefetch", [&](flagos_stream_t* s) {
        t_.ok(flagos_memory_prefetch(s, managed_->address(), 4096), "prefetch");
      });
    }
    return all;
  }

  // What all of them have left, when the stream has passed.
  void check_work(std::uint32_t rounds) {
    const auto at = [&](std::size_t offset, std::uint64_t value, std::size_t size) {
      std::memcpy(model_.data() + offset, &value, size);
    };
    at(0, counted_, 4);
    at(16, 0x131211, 3);
    at(24, 0x12341234, 4);
    if (t_.has(FLAGOS_FEATURE_COPY_2D)) {
      at(32, 0x0201, 2);
      at(40, 0x0605, 2);
    }
    if (t_.has(FLAGOS_FEATURE_STREAM_VALUE)) {
      at(48, 0x1122334455667788u, 8);
      at(56, 77, 4);
    }
    at(60, 0xbeef, 2);
    t_.equal_bytes(words_.read(), model_, "what the work wrote");
    if (t_.has(FLAGOS_FEATURE_HOST_CALLBACK))
      t_.equal(host_calls_, rounds, "calls of the host function");
    if (timeline_ == nullptr) return;
    std::uint64_t value = 0;
    t_.ok(flagos_timeline_query(timeline_, &value), "query the timeline");
    t_.equal(value, signalled_, "its value");
  }
  // Of the words: counted by kernels while a stream was held.
  std::uint32_t counter() {
    std::uint32_t value = 0;
    std::memcpy(&value, words_.read(0, 4).data(), 4);
    return value;
  }

 private:
  void counted(const std::function<void()>& submit) {
    submit();
    ++counted_;
  }
  void update(flagos_stream_t* stream) {
    const std::uint16_t value = 0xbeef;
    t_.ok(flagos_memory_update(stream, words_.address(60), &value, 2), "update");
  }
  void copy_2d(flagos_stream_t* stream) {
    flagos_copy_2d_desc_t desc{};
    desc.struct_size = sizeof desc;
    desc.target = words_.address(32);
    desc.source = source_.address();
    desc.target_pitch_bytes = 8;
    desc.source_pitch_bytes = 4;
    desc.width_bytes = 2;
    desc.height = 2;
    t_.ok(flagos_memory_copy_2d(stream, &desc), "copy rows");
  }
  void host_function(flagos_stream_t* stream) {
    const auto function = [](void* data, flagos_status_t) {
      ++*static_cast<std::atomic<std::uint32_t>*>(data);
    };
    t_.ok(flagos_stream_launch_host(stream, function, &host_calls_), "launch a host function");
  }

  Context& t_;
  Buffer words_, source_;
  Event event_;
  flagos_kernel_t* kernel_ = nullptr;
  flagos_prepared_t* prepared_ = nullptr;
  flagos_timeline_t* timeline_ = nullptr;
  std::unique_ptr<Graph> graph_;
  flagos_graph_exec_t* exec_ = nullptr;
  std::unique_ptr<Buffer> managed_;
  std::vector<std::uint8_t> model_;
  std::uint32_t counted_ = 0;
  std::uint64_t signalled_ = 0;
  std::atomic<std::uint32_t> host_calls_{0};
};

}  // namespace

FLAGOS_CASE("stream.async.every_entry",
            {.clause = "flagos_plugin.h rule 8: what submits never waits for work",
             .oracle = Oracle::live}) {
  require_async(t);
  Stream stream(t);
  Bench bench(t);
  const auto submissions = bench.submissions();
  {
    Blocker held(t, stream);
    for (const auto& submission : submissions) {
      t.subcase(submission.name);
      submission.submit(stream);
      check_held(t, stream, submission.name);
    }
    t.subcase("while it is held");
    if (t.info().capabilities & FLAGOS_DEVICE_CAPABILITY_CONCURRENT_STREAMS)
      t.equal(bench.counter(), 0, "what kernels counted");
    held.release();
  }
  synchronize(t, stream);
  t.subcase("when it has passed");
  bench.check_work(1);
}

FLAGOS_CASE("stream.order.every_entry",
            {.clause = "a stream is an ordered queue, and does each thing once"}) {
  const std::uint32_t rounds = t.settings().quick ? 40 : 400;
  Stream stream(t);
  Bench bench(t);
  const auto submissions = bench.submissions();
  for (std::uint32_t i = 0; i < rounds; ++i)
    for (const auto& submission : submissions) submission.submit(stream);
  synchronize(t, stream);
  bench.check_work(rounds);
}

}  // namespace flagos::conformance
