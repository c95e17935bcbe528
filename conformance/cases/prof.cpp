// Profiling: a record for every operation, in order, with times that fit together. Ranges are for
// the trace layer.
#include <flagos.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "conformance/cases/graph_support.hpp"
#include "conformance/cases/module_support.hpp"

namespace flagos::conformance {
namespace {

class Profiler {
 public:
  explicit Profiler(Context& t, std::uint64_t capacity = 0) : t_(t) {
    t.require(FLAGOS_FEATURE_PROFILING);
    t.smoke();  // sees at once that a plugin runs nothing, where a drain would wait for its records
    flagos_profiler_desc_t desc{};
    desc.struct_size = sizeof desc;
    desc.capacity = capacity;
    t.ok(flagos_profiler_create(t.device(), &desc, &profiler_), "a profiler");
  }
  ~Profiler() { flagos_profiler_destroy(profiler_); }
  Profiler(const Profiler&) = delete;
  Profiler& operator=(const Profiler&) = delete;

  void enable(bool enabled) {
    t_.ok(flagos_profiler_enable(profiler_, enabled), "the profiler is paused or goes on");
  }
  // All records that come until `count` are there or some seconds have passed; a record may come
  // after its wait.
  std::vector<flagos_record_t> drain(std::size_t count, std::uint64_t* out_dropped = nullptr) {
    std::vector<flagos_record_t> all;
    std::uint64_t dropped_in_all = 0;
    eventually(
        [&] {
          std::vector<flagos_record_t> some(256);
          std::uint64_t moved = 0, dropped = 0;
          t_.ok(flagos_profiler_drain(profiler_, some.size(), some.data(), &moved, &dropped),
                "a drain");
          t_.check(moved <= some.size(), "no more records than there is room for");
          all.insert(all.end(), some.begin(), some.begin() + static_cast<std::ptrdiff_t>(moved));
          dropped_in_all += dropped;
          return moved == 0 && all.size() + dropped_in_all >= count;
        },
        10);
    if (out_dropped != nullptr) *out_dropped = dropped_in_all;
    return all;
  }

 private:
  Context& t_;
  flagos_profiler_t* profiler_ = nullptr;
};

std::uint64_t count_kind(const std::vector<flagos_record_t>& records, flagos_record_kind_t kind) {
  return static_cast<std::uint64_t>(std::count_if(
      records.begin(), records.end(), [&](const flagos_record_t& r) { return r.kind == kind; }));
}

void check_times(Context& t, const flagos_record_t& record) {
  t.check(record.queued_ns <= record.submitted_ns, "queued, then submitted");
  t.check(record.submitted_ns <= record.started_ns, "submitted, then started");
  t.check(record.started_ns <= record.ended_ns, "started, then ended");
  t.check(record.queued_ns != 0 && record.started_ns != 0, "the times are filled");
  t.equal(record.padding, 0, "padding is 0");
}

void queue_fill(Context& t, flagos_stream_t* stream, const Words& words) {
  const std::uint32_t pattern = 7;
  t.ok(flagos_memory_fill(stream, words.at(), &pattern, 4, words.size_bytes()), "a fill");
}

void queue_copy(Context& t, flagos_stream_t* stream, const Words& target, const Words& source) {
  t.ok(flagos_memory_copy(stream, target.at(), source.at(), target.size_bytes()), "a copy");
}

}  // namespace

FLAGOS_CASE("prof.ts.monotonic", {.clause = "flagos_event_get_elapsed: the device's clock"}) {
  const std::uint32_t count = repeats(t, 500, 100);
  Stream stream(t);
  Words words(t, 64);
  std::vector<std::unique_ptr<Event>> events;
  for (std::uint32_t i = 0; i < count; ++i) {
    events.push_back(std::make_unique<Event>(t));
    affine(t, stream, words, 3, i);
    t.ok(flagos_event_record(*events.back(), stream), "a record");
  }
  stream.synchronize();
  std::int64_t last = -1, elapsed = 0;
  for (auto& event : events) {
    t.ok(flagos_event_get_elapsed(*events.front(), *event, &elapsed),
         "the time since the first event");
    t.check(elapsed >= last, "times on one stream never go back");
    last = elapsed;
  }
  t.check(last > 0, "time passes");
  std::uint32_t expected = 0;
  for (std::uint32_t i = 0; i < count; ++i) expected = expected * 3 + i;
  t.equal(words.first(), expected, "the work between the events was done");
}

FLAGOS_CASE("prof.ts.start_le_end", {.clause = "queued <= submitted <= started <= ended"}) {
  Words words(t, 4096, 1), copy(t, 4096);
  Profiler profiler(t);
  Stream stream(t);
  for (int i = 0; i < 20; ++i) {
    affine(t, stream, words, 3, 1);
    queue_copy(t, stream, copy, words);
    queue_fill(t, stream, words);
  }
  stream.synchronize();
  const auto records = profiler.drain(60);
  for (const auto& [kind, name] :
       std::map<flagos_record_kind_t, const char*>{{FLAGOS_RECORD_KIND_KERNEL, "kernel"},
                                                   {FLAGOS_RECORD_KIND_COPY, "copy"},
                                                   {FLAGOS_RECORD_KIND_FILL, "fill"}}) {
    t.subcase(name);
    t.equal(count_kind(records, kind), 20, "one record for each");
    for (const auto& record : records) {
      if (record.kind == kind) check_times(t, record);
    }
  }
  t.subcase("one behind the other");
  for (std::size_t i = 1; i < records.size(); ++i) {
    t.check(records[i].started_ns >= records[i - 1].ended_ns,
            "operations of one stream do not overlap");
  }
  t.equal(copy.first(), 22, "the work was done");
}

FLAGOS_CASE("prof.ts.brackets", {.clause = "flagos_profiler_get_clock",
                                 .level = Level::optional,
                                 .feature = "profiling"}) {
  struct Clocks {
    std::uint64_t device = 0, host = 0;
  };
  const auto read_clocks = [&] {
    Clocks clocks;
    t.ok(flagos_profiler_get_clock(t.device(), &clocks.device, &clocks.host), "the clocks");
    return clocks;
  };
  Words words(t, 64, 1);
  Stream stream(t);
  Profiler profiler(t);
  t.subcase("records lie on the device's clock");
  const Clocks before = read_clocks();
  affine(t, stream, words, 3, 1);
  stream.synchronize();
  const auto records = profiler.drain(1);
  const Clocks behind = read_clocks();
  t.equal(records.size(), 1, "one record");
  t.check(records[0].started_ns >= before.device && records[0].ended_ns <= behind.device,
          "the kernel ran between two looks at the clock");
  t.subcase("both clocks count nanoseconds");
  // A thread may be held up between the two clocks of one look: only most looks are close.
  const bool close = eventually([&] {
    const Clocks start = read_clocks();
    nap(0.02);
    const Clocks end = read_clocks();
    const auto device = static_cast<double>(end.device - start.device);
    const auto host = static_cast<double>(end.host - start.host);
    return device > host * 0.95 && device < host * 1.05;
  });
  t.check(close, "they advance by the same time");
  t.equal(words.first(), 4, "the kernel ran");
}

FLAGOS_CASE("prof.activity.complete", {.clause = "a record for every operation",
                                       .level = Level::optional,
                                       .isolation = Isolation::own,
                                       .feature = "profiling"}) {
  const std::uint32_t count = repeats(t, 10'000, 1'000);
  Words words(t, 64, 1), copy(t, 64);
  Profiler profiler(t, 65'536);
  Stream stream(t);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (i % 4 == 1) {
      queue_copy(t, stream, copy, words);
    } else if (i % 4 == 3) {
      queue_fill(t, stream, copy);
    } else {
      affine(t, stream, words, 1, 1);
    }
  }
  stream.synchronize();
  std::uint64_t dropped = 99;
  const auto records = profiler.drain(count, &dropped);
  t.equal(dropped, 0, "nothing is dropped");
  t.equal(records.size(), count, "as many records as operations");
  t.subcase("kernels");
  t.equal(count_kind(records, FLAGOS_RECORD_KIND_KERNEL), count / 2, "every launch once");
  t.subcase("copies");
  t.equal(count_kind(records, FLAGOS_RECORD_KIND_COPY), count / 4, "every copy once");
  t.subcase("fills");
  t.equal(count_kind(records, FLAGOS_RECORD_KIND_FILL), count / 4, "every fill once");
  std::set<std::uint64_t> ids;
  for (const auto& record : records) ids.insert(record.correlation_id);
  t.equal(ids.size(), count, "no two have the same correlation");
  t.equal(words.first(), 1 + count / 2, "the work was done");
}

FLAGOS_CASE("prof.activity.order", {.clause = "correlation_id grows with submission on a stream",
                                    .level = Level::optional,
                                    .oracle = Oracle::order,
                                    .feature = "profiling"}) {
  Words words(t, 64, 1), other(t, 64, 1);
  Profiler profiler(t);
  Stream one(t), two(t);
  std::vector<flagos_record_kind_t> kinds;
  for (int i = 0; i < 100; ++i) {
    if (t.random_below(2) == 0) {
      affine(t, one, words, 1, 1);
      kinds.push_back(FLAGOS_RECORD_KIND_KERNEL);
    } else {
      queue_fill(t, one, words);
      kinds.push_back(FLAGOS_RECORD_KIND_FILL);
    }
    affine(t, two, other, 1, 1);
  }
  one.synchronize();
  two.synchronize();
  std::map<std::uint64_t, std::map<std::uint64_t, flagos_record_kind_t>> by_stream;
  for (const auto& record : profiler.drain(200))
    by_stream[record.stream_id][record.correlation_id] = record.kind;
  t.equal(by_stream.size(), 2, "two streams have two ids");
  std::size_t matching = 0;
  for (const auto& [stream, records] : by_stream) {
    t.equal(records.size(), 100, "every operation of a stream has its own correlation");
    std::vector<flagos_record_kind_t> found;
    for (const auto& [id, kind] : records) found.push_back(kind);
    matching += found == kinds;
  }
  t.check(matching >= 1, "the correlation follows the order of the calls");
  t.equal(other.first(), 101, "the work was done");
}

FLAGOS_CASE("prof.activity.names_sizes", {.clause = "flagos_record_t: name and size_bytes",
                                          .level = Level::optional,
                                          .feature = "profiling"}) {
  Words words(t, 100, 1), copy(t, 100);
  Profiler profiler(t);
  Stream stream(t);
  affine(t, stream, words, 3, 1);
  queue_copy(t, stream, copy, words);
  queue_fill(t, stream, words);
  mix(t, stream, copy, words, 1);
  stream.synchronize();
  auto records = profiler.drain(4);
  t.equal(records.size(), 4, "four records");
  std::sort(records.begin(), records.end(),
            [](const auto& a, const auto& b) { return a.correlation_id < b.correlation_id; });
  t.subcase("names");
  t.check(std::string(records[0].name) == "tl_affine",
          "the first kernel's name, not " + std::string(records[0].name));
  t.check(std::string(records[3].name) == "tl_mix", "the second kernel's name");
  t.check(std::string(records[1].name) == "copy" && std::string(records[2].name) == "fill",
          "copy and fill");
  t.subcase("sizes");
  t.equal(records[1].size_bytes, 400, "of the copy");
  t.equal(records[2].size_bytes, 400, "of the fill");
  t.equal(records[0].size_bytes + records[3].size_bytes, 0, "kernels have none");
  t.equal(copy.first(), 11, "the work was done");

  t.subcase("of a kernel that is gone");
  std::string format;
  const auto image = t.module_image(&format);
  Event event(t);
  const std::uint32_t count = repeats(t, 50, 10);
  for (std::uint32_t i = 0; i < count; ++i) {
    Module module(t, format, image);
    launch(t, stream, module.kernel("mod_read_marker"), {1, 1, 1}, {1, 1, 1}, {arg(words.at())});
    t.ok(flagos_event_record(event, stream), "a record");
    t.ok(flagos_event_synchronize(event, FLAGOS_TIMEOUT_INFINITE), "a wait for it");
  }
  stream.synchronize();
  records.clear();  // a plugin may show the records of the event as well
  eventually(
      [&] {
        for (const flagos_record_t& record : profiler.drain(0))
          if (record.kind == FLAGOS_RECORD_KIND_KERNEL) records.push_back(record);
        return records.size() >= count;
      },
      10);
  t.equal(records.size(), count, "a record for each launch");
  for (const auto& record : records)
    t.check(std::string(record.name) == "mod_read_marker",
            "the name that it had, not " + std::string(record.name));
}

FLAGOS_CASE("prof.activity.native_copies",
            {.clause = "a record for every operation: rows and small updates",
             .level = Level::optional,
             .feature = "profiling"}) {
  // What core makes of other operations is recorded as those.
  const bool rows = t.support(FLAGOS_FEATURE_COPY_2D) == FLAGOS_SUPPORT_NATIVE;
  const bool updates = t.support(FLAGOS_FEATURE_MEMORY_UPDATE) == FLAGOS_SUPPORT_NATIVE;
  if (!rows && !updates)
    t.not_supported("core copies rows and makes small updates by other operations");
  constexpr std::uint32_t count = 12;
  Words words(t, 64, 1), copy(t, 64);
  Profiler profiler(t);
  Stream stream(t);
  flagos_copy_2d_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.target = copy.at();
  desc.source = words.at();
  desc.target_pitch_bytes = desc.source_pitch_bytes = 16;
  desc.width_bytes = 8;
  desc.height = 4;
  const std::uint32_t value = 9;
  std::uint32_t expected = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (rows) t.ok(flagos_memory_copy_2d(stream, &desc), "copy rows");
    if (updates) t.ok(flagos_memory_update(stream, copy.at(60), &value, 4), "update");
    expected += (rows ? 1 : 0) + (updates ? 1 : 0);
  }
  stream.synchronize();
  affine(t, stream, words, 1, 1);  // its record comes behind all of theirs
  stream.synchronize();
  const auto records = profiler.drain(expected + 1);
  t.equal(records.size(), expected + 1, "as many records as operations");
  for (const auto& record : records) check_times(t, record);
  t.equal(copy.first(), rows ? 1 : 0, "the work was done");
}

FLAGOS_CASE("prof.activity.drop_reported", {.clause = "new ones are dropped and counted",
                                            .level = Level::optional,
                                            .feature = "profiling"}) {
  Words words(t, 64, 1);
  Profiler profiler(t, 16);
  Stream stream(t);
  for (int i = 0; i < 100; ++i) affine(t, stream, words, 1, 1);
  stream.synchronize();
  std::uint64_t dropped = 0;
  const auto records = profiler.drain(100, &dropped);
  t.check(records.size() >= 16, "as many as fit are kept");
  t.equal(records.size() + dropped, 100, "kept and dropped make all");
  t.check(dropped > 0, "some were dropped");
  affine(t, stream, words, 1, 1);
  stream.synchronize();
  t.equal(profiler.drain(1, &dropped).size(), 1, "after the drain there is room again");
  t.equal(dropped, 0, "the drop count starts anew");
  t.equal(words.first(), 102, "no operation was lost");
}

FLAGOS_CASE("prof.enable_disable_live", {.clause = "flagos_profiler_enable",
                                         .level = Level::optional,
                                         .feature = "profiling"}) {
  Words words(t, 64, 1);
  Profiler profiler(t);
  Stream stream(t);
  t.subcase("paused and gone on");
  const auto batch = [&](int count) {
    for (int i = 0; i < count; ++i) affine(t, stream, words, 1, 1);
  };
  batch(10);
  stream.synchronize();
  profiler.enable(false);
  batch(20);
  stream.synchronize();
  profiler.enable(true);
  batch(30);
  stream.synchronize();
  t.equal(profiler.drain(40).size(), 40,
          "only work that was submitted while it was on has records");
  t.subcase("while work is pending");
  for (int i = 0; i < 20; ++i) {
    profiler.enable(i % 2 == 0);
    batch(10);
  }
  profiler.enable(true);
  stream.synchronize();
  t.equal(words.first(), 1 + 60 + 200, "no operation is lost");
  profiler.drain(0);
  for (int i = 0; i < 10; ++i) {
    t.subcase("paused for one operation, " + std::to_string(i));
    profiler.enable(false);
    batch(1);
    stream.synchronize();
    profiler.enable(true);
    batch(1);
    stream.synchronize();
    t.equal(profiler.drain(1).size(), 1, "the one that was submitted while it was on");
  }
  t.subcase("a second profiler");
  flagos_profiler_t* second = nullptr;
  t.status(flagos_profiler_create(t.device(), nullptr, &second), FLAGOS_STATUS_BUSY,
           "a device has one profiler");
}

FLAGOS_CASE("prof.no_result_change", {.clause = "profiling only watches",
                                      .level = Level::optional,
                                      .oracle = Oracle::model,
                                      .feature = "profiling"}) {
  t.require(FLAGOS_FEATURE_PROFILING);
  for (int i = 0; i < 4; ++i) {
    t.subcase(i % 2 == 0 ? "with a profiler" : "without");
    const auto profiler = i % 2 == 0 ? std::make_unique<Profiler>(t) : nullptr;
    const Program program = random_program(t, 80, 4);
    Memory memory(t, program);
    Lanes lanes(t, 4, 4);
    issue_on_streams(t, program, memory, lanes.streams, lanes.events);
    lanes.synchronize();
    memory.run_model(program);
    memory.verify(t, "the program gives what its model gives");
  }
}

FLAGOS_CASE("prof.multi_thread", {.clause = "any thread",
                                  .level = Level::optional,
                                  .isolation = Isolation::own,
                                  .feature = "profiling"}) {
  constexpr std::uint32_t threads = 8;
  const std::uint32_t count = repeats(t, 1000, 200);
  flagos_kernel_t* const kernel = t.kernel("tl_affine");
  Words words(t, threads, 1);
  std::vector<std::unique_ptr<Stream>> streams;
  for (std::uint32_t i = 0; i < threads; ++i) streams.push_back(std::make_unique<Stream>(t));
  Profiler profiler(t);
  FirstFailure failure;
  Team team;
  for (std::uint32_t i = 0; i < threads; ++i) {
    team.start([&, i] {
      const std::vector<flagos_argument_t> arguments{arg(words.at(i)), arg_u32(1), arg_u32(1),
                                                     arg_u32(1)};
      const auto desc = launch_desc({1, 1, 1}, {1, 1, 1}, arguments);
      for (std::uint32_t k = 0; k < count; ++k)
        failure.note(flagos_kernel_launch(*streams[i], kernel, &desc));
      failure.note(flagos_stream_synchronize(*streams[i], patience_ns));
    });
  }
  team.join();
  t.ok(failure.status(), "launches from eight threads");
  std::map<std::uint64_t, std::uint64_t> by_stream;
  for (const auto& record : profiler.drain(threads * count)) ++by_stream[record.stream_id];
  t.equal(by_stream.size(), threads, "every stream has its id");
  for (const auto& [stream, records] : by_stream) t.equal(records, count, "no record is lost");
  equal_words(t, words.read(), std::vector<std::uint32_t>(threads, count + 1), "the work was done");
}

FLAGOS_CASE("prof.graph_nodes",
            {.clause = "nodes of a graph launch share that launch's correlation",
             .level = Level::optional,
             .feature = "profiling"}) {
  Words words(t, 64, 1);
  Graph graph(t);
  graph.affine(words, 5, 0, {graph.affine(words, 3, 1)});
  Executable exec(t, graph);
  Stream stream(t);
  Profiler profiler(t);
  constexpr std::uint32_t launches = 10;
  for (std::uint32_t i = 0; i < launches; ++i) exec.launch(stream);
  stream.synchronize();
  std::map<std::uint64_t, std::uint64_t> kernels;
  for (const auto& record : profiler.drain(2 * launches)) {
    if (record.kind == FLAGOS_RECORD_KIND_KERNEL) ++kernels[record.correlation_id];
  }
  t.equal(kernels.size(), launches, "every launch has a correlation of its own");
  for (const auto& [id, count] : kernels) t.equal(count, 2, "shared by both kernels of a launch");
  std::uint32_t wanted = 1;
  for (std::uint32_t i = 0; i < launches; ++i) wanted = (wanted * 3 + 1) * 5;
  t.equal(words.first(), wanted, "every launch ran");
}

FLAGOS_CASE("prof.ranges", {.clause = "flagos_range_push", .oracle = Oracle::code}) {
  Words words(t, 4, 1);
  Stream stream(t);
  t.status(flagos_range_pop(), FLAGOS_STATUS_NOT_FOUND, "no range is open");
  for (int depth = 0; depth < 100; ++depth) {
    std::string name = "range " + std::to_string(depth);
    t.ok(flagos_range_push(name.c_str()), "a range is opened");
    name.assign(name.size(), '!');
  }
  affine(t, stream, words, 3, 1);
  std::atomic<flagos_status_t> elsewhere{FLAGOS_STATUS_OK};
  Team team;
  team.start([&] { elsewhere = flagos_range_pop(); });
  team.join();
  t.status(elsewhere.load(), FLAGOS_STATUS_NOT_FOUND, "ranges are the thread's own");
  stream.synchronize();
  for (int depth = 0; depth < 100; ++depth) t.ok(flagos_range_pop(), "a range is closed");
  t.status(flagos_range_pop(), FLAGOS_STATUS_NOT_FOUND, "as often as it was opened");
  t.equal(words.first(), 4, "work inside ranges runs");
}

}  // namespace flagos::conformance
