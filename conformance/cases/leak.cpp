// Cycles that should leave nothing behind: runtimes, devices, failing calls, threads, waits.
#include <atomic>
#include <thread>

#include "conformance/cases/growth.hpp"
#include "conformance/cases/negatives.hpp"
#include "conformance/cases/plugin_probe.hpp"
#include "conformance/cases/process.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr std::uint64_t a_minute = 60'000'000'000u;

flagos_runtime_t* make_runtime(Context& t) {
  flagos_runtime_t* runtime = nullptr;
  const flagos_runtime_desc_t desc{sizeof desc, FLAGOS_ABI_VERSION, nullptr,
                                   FLAGOS_RUNTIME_FLAG_NO_SEARCH, nullptr};
  t.ok(flagos_runtime_create(&desc, &runtime), "create a runtime");
  t.ok(flagos_runtime_add_plugin(runtime, t.settings().plugin_path.c_str()), "load the plugin");
  return runtime;
}

struct Log {
  std::atomic<int> warnings{0};
  std::string last;
};

void keep_warnings(void* user_data, flagos_log_level_t level, const char* text) {
  Log& log = *static_cast<Log*>(user_data);
  if (level < FLAGOS_LOG_LEVEL_WARNING) return;
  ++log.warnings;
  log.last = text;
}

}  // namespace

FLAGOS_CASE("leak.init_shutdown", {.clause = "flagos_runtime_destroy",
                                   .oracle = Oracle::delta,
                                   .isolation = Isolation::own}) {
  t.smoke();
  expect_no_growth(t, {.cycles = 100, .quick_cycles = 20}, [&](std::uint64_t) {
    flagos_runtime_t* const runtime = make_runtime(t);
    t.ok(flagos_runtime_destroy(runtime), "destroy it");
  });
  t.smoke();
}

FLAGOS_CASE("leak.device_open", {.clause = "flagos_device_close",
                                 .oracle = Oracle::delta,
                                 .isolation = Isolation::own}) {
  t.smoke();
  expect_no_growth(t, {.cycles = 1000, .quick_cycles = 100}, [&](std::uint64_t) {
    flagos_device_t* device = nullptr;
    t.ok(flagos_device_open(t.runtime(), t.info().index, &device), "open");
    t.ok(flagos_device_close(device), "close");
  });
  t.smoke();
}

FLAGOS_CASE("leak.error_paths", {.clause = "flagos.h: Failure; a failing call has no other effect",
                                 .oracle = Oracle::delta,
                                 .isolation = Isolation::own,
                                 .seconds = 300}) {
  World world(t);
  std::vector<Negative> negatives = all_negatives(world);
  // Making a module, a device or a runtime for each call costs more than the call: those run less
  // often.
  const auto heavy = [&](const Negative& negative) {
    for (const Argument& argument : negative.entry->arguments)
      if (argument.kind == Kind::taken &&
          (argument.type == Type::module || argument.type == Type::device ||
           argument.type == Type::runtime))
        return true;
    return negative.entry->name == "flagos_runtime_add_plugin";
  };
  expect_no_growth(t, {.cycles = 200, .quick_cycles = 10}, [&](std::uint64_t i) {
    for (const Negative& negative : negatives) {
      if (i % 20 != 0 && heavy(negative)) continue;
      Call call(world, *negative.entry);
      if (!applies(call, negative)) continue;
      call.values[negative.argument] = negative.value;
      const flagos_status_t status = call.run();
      const auto expected = expected_of(world, negative);
      t.check(expected.contains(status), negative.entry->name + " with " + negative.what +
                                             ": expected " + names_of(expected) + ", got " +
                                             flagos_status_get_name(status));
    }
    t.ok(flagos_stream_synchronize(world.stream(), a_minute), "the stream is healthy");
  });
  t.status(world.close(), ok, "destroy all objects");
  t.smoke();
}

FLAGOS_CASE("leak.thread_churn", {.clause = "flagos.h: Threads; a thread that ends leaves nothing",
                                  .oracle = Oracle::delta,
                                  .isolation = Isolation::own,
                                  .seconds = 300}) {
  t.smoke();
  World world(t);
  const auto launch = world.valid<flagos_launch_desc_t>();
  std::atomic<int> failures{0};
  expect_no_growth(t, {.cycles = 10'000, .quick_cycles = 500}, [&](std::uint64_t i) {
    std::thread([&] {
      flagos_proc_t found = nullptr;
      failures += flagos_get_proc("none", FLAGOS_ABI_VERSION, &found) !=
                  FLAGOS_STATUS_NOT_FOUND;  // an error text of its own
      failures += flagos_kernel_launch(world.stream(), world.kernel(), &launch) != ok;
      if (i % 64 == 0) failures += flagos_stream_synchronize(world.stream(), a_minute) != ok;
    }).join();
  });
  t.equal(static_cast<std::uint64_t>(failures), 0, "calls that failed");
  t.ok(flagos_stream_synchronize(world.stream(), a_minute), "the work is done");
  t.status(world.close(), ok, "destroy all objects");
  t.smoke();
}

FLAGOS_CASE("leak.plugin_reload", {.clause = "flagos_plugin_t::close",
                                   .level = Level::full,
                                   .oracle = Oracle::delta,
                                   .isolation = Isolation::own}) {
  t.smoke();
  expect_no_growth(t, {.cycles = 50, .quick_cycles = 10}, [&](std::uint64_t) {
    const PluginLibrary library(t.settings().plugin_path);
    PluginProbe probe(library);
    const std::string problem = probe.smoke(t.settings().device_ordinal);
    t.check(problem.empty(), problem);
  });
}

FLAGOS_CASE("leak.timeouts", {.clause = "flagos.h: Waits; TIMEOUT leaves everything as it was",
                              .oracle = Oracle::delta,
                              .isolation = Isolation::own}) {
  World world(t);
  flagos_timeline_t* const never = world.timeline();
  Stream stream(t);
  Event event(t);
  Blocker blocker(t, stream);
  t.ok(flagos_event_record(event, stream), "record an event behind the blocker");
  const std::uint64_t wanted = 1000;
  // The blocker lets go after 20 s whatever happens: the cycles stop well before.
  const double end = now_seconds() + 12;
  std::uint64_t waits = 0;
  expect_no_growth(t, {.cycles = 1000, .quick_cycles = 100}, [&](std::uint64_t i) {
    const std::uint64_t timeout = i % 4 == 0 ? 100'000 : 0;
    t.status(flagos_timeline_wait(1, &never, &wanted, FLAGOS_WAIT_MODE_ALL, timeout, nullptr),
             FLAGOS_STATUS_TIMEOUT, "wait for a timeline");
    if (now_seconds() > end) return;
    ++waits;
    t.status(flagos_stream_synchronize(stream, timeout), FLAGOS_STATUS_TIMEOUT,
             "wait for a stream that is held up");
    t.status(flagos_event_synchronize(event, timeout), FLAGOS_STATUS_TIMEOUT,
             "wait for an event that is held up");
    t.status(flagos_device_synchronize(t.device(), timeout), FLAGOS_STATUS_TIMEOUT,
             "wait for a device that is held up");
  });
  t.check(waits > 0, "waits ran out while the stream was held up");
  blocker.release();
  stream.synchronize();
  t.ok(flagos_event_synchronize(event, a_minute), "the event is complete");
  t.smoke();
}

FLAGOS_CASE("leak.at_exit_zero",
            {.clause = "flagos_runtime_destroy: a warning counts what still lives",
             .oracle = Oracle::exact,
             .isolation = Isolation::own}) {
  t.smoke();
  Log log;
  t.ok(flagos_set_log_callback(&keep_warnings, &log, FLAGOS_LOG_LEVEL_WARNING),
       "listen to the log");
  flagos_runtime_t* runtime = make_runtime(t);
  {
    World world(t, runtime, t.settings().device_ordinal);
    world.snapshot();
    t.status(world.close(), ok, "destroy all objects");
  }
  t.ok(flagos_runtime_destroy(runtime), "destroy the runtime");
  t.equal(static_cast<std::uint64_t>(log.warnings), 0, "warnings when nothing lives: " + log.last);
  runtime = make_runtime(t);
  auto* const forgotten = new World(t, runtime, t.settings().device_ordinal);
  t.ok(flagos_runtime_destroy(runtime), "destroy a runtime with live objects");
  delete forgotten;
  t.check(log.warnings > 0, "a warning tells what was still alive");
  t.ok(flagos_set_log_callback(nullptr, nullptr, FLAGOS_LOG_LEVEL_WARNING), "give the log back");
}

}  // namespace flagos::conformance
