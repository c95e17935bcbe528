// What happens to the process around a call: signals, stops, clocks that jump, drivers that are not there, kills.
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <thread>

#include "conformance/cases/dag.hpp"
#include "conformance/cases/process.hpp"
#include "conformance/cases/tile_text.hpp"
#include "conformance/faults/faults.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;

std::atomic<std::uint64_t> signals_seen{0};

// Alarms every 0.1 ms on this thread, with a handler that restarts nothing.
class Storm {
 public:
  Storm() {
    struct sigaction action {};
    action.sa_handler = [](int) { ++signals_seen; };
    sigaction(SIGALRM, &action, &former_);
    const itimerval often{{0, 100}, {0, 100}};
    setitimer(ITIMER_REAL, &often, nullptr);
  }
  ~Storm() {
    const itimerval never{};
    setitimer(ITIMER_REAL, &never, nullptr);
    sigaction(SIGALRM, &former_, nullptr);
  }
  Storm(const Storm&) = delete;
  Storm& operator=(const Storm&) = delete;

 private:
  struct sigaction former_ {};
};

// Every call that waits, while it has to.
void wait_in_every_way(Context& t) {
  constexpr std::uint64_t a_moment = 2'000'000;
  Stream stream(t);
  Event event(t);
  Words words(t, 64, 1);
  for (std::uint32_t round = 0; round < repeats(t, 12, 3); ++round) {
    t.subcase("round " + std::to_string(round));
    Blocker blocker(t, stream);
    affine(t, stream, words, 3, 1);
    t.ok(flagos_event_record(event, stream), "record");
    t.status(flagos_stream_synchronize(stream, a_moment), FLAGOS_STATUS_TIMEOUT,
             "a wait for the stream that is too short");
    t.status(flagos_event_synchronize(event, a_moment), FLAGOS_STATUS_TIMEOUT,
             "a wait for the event that is too short");
    std::thread later([&] {
      nap(0.03);
      blocker.release();
    });
    const flagos_status_t waited = round % 3 == 0 ? flagos_stream_synchronize(stream, patience_ns)
                                   : round % 3 == 1
                                       ? flagos_event_synchronize(event, patience_ns)
                                       : flagos_device_synchronize(t.device(), patience_ns);
    later.join();
    t.ok(waited, "a wait that is long enough");
    stream.synchronize();
  }
  std::uint32_t expected = 1;
  for (std::uint32_t round = 0; round < repeats(t, 12, 3); ++round) expected = expected * 3 + 1;
  t.equal(words.first(), expected, "the work between the waits");
}

FLAGOS_HELPER("fault_signal_storm") {
  return run_checks(h, [](Context& t) {
    t.smoke();
    {
      const Storm storm;
      // On a busy machine they come seldom: until there were enough.
      for (int i = 0; i == 0 || (signals_seen <= 100 && i < 100); ++i) wait_in_every_way(t);
    }
    t.check(signals_seen > 100, "there were signals: " + std::to_string(signals_seen.load()));
    t.smoke();
  });
}

// Another process stops this one and lets it go on, for moments of any length. Its end is ours, at the latest.
class Stopper {
 public:
  explicit Stopper(Context& t) {
    const auto seed = static_cast<unsigned>(t.random()());
    const pid_t us = getpid();
    child_ = fork();
    if (child_ != 0) return;
    std::minstd_rand random(seed);
    for (int i = 0; i < 2000 && getppid() == us; ++i) {
      usleep(static_cast<useconds_t>(random() % 20'000));
      kill(us, SIGSTOP);
      usleep(static_cast<useconds_t>(random() % 40'000));
      kill(us, SIGCONT);
    }
    _exit(0);
  }
  ~Stopper() {
    if (child_ <= 0) return;
    kill(child_, SIGKILL);
    kill(getpid(), SIGCONT);
    int status = 0;
    while (waitpid(child_, &status, 0) < 0 && errno == EINTR) {
    }
  }
  Stopper(const Stopper&) = delete;
  Stopper& operator=(const Stopper&) = delete;

  bool started() const { return child_ > 0; }

 private:
  pid_t child_ = -1;
};

FLAGOS_HELPER("fault_clock_slow") {
  return run_checks(h, [](Context& t) {
    t.smoke();
    const Stopper stopper(t);
    t.check(stopper.started(), "a process that stops this one");
    for (std::uint32_t round = 0; round < repeats(t, 20, 4); ++round) {
      t.subcase("program " + std::to_string(round));
      const Program program = random_program(t, 60, 4);
      Memory memory(t, program);
      Lanes lanes(t, program.streams, 8);
      issue_on_streams(t, program, memory, lanes.streams, lanes.events);
      lanes.synchronize();
      memory.run_model(program);
      memory.verify(t, "a program that is stopped now and then");
    }
  });
}

// ---- the clock on the wall -------------------------------------------------------------------------------------------

constexpr std::int64_t a_year = std::int64_t{365} * 24 * 3600 * 1'000'000'000;

FLAGOS_HELPER("lim_clock_jump") {
  return run_checks(h, [](Context& t) {
    if (!faults::available()) t.resource("a sanitizer has clocks of its own");
    t.smoke();
    Stream stream(t);
    Event event(t);
    for (const std::int64_t jump : {a_year, -a_year}) {
      t.subcase(jump > 0 ? "a year ahead" : "a year back");
      Blocker blocker(t, stream);
      t.ok(flagos_event_record(event, stream), "record");
      std::atomic<bool> over{false};
      // There and back again while waits are under way.
      std::thread jumping([&] {
        while (!over) {
          faults::move_clock(jump);
          nap(0.002);
          faults::move_clock(0);
          nap(0.002);
        }
      });
      const double since = now_seconds();
      const flagos_status_t by_stream = flagos_stream_synchronize(stream, 50'000'000);
      const flagos_status_t by_event = flagos_event_synchronize(event, 50'000'000);
      const double waited = now_seconds() - since;
      over = true;
      jumping.join();
      faults::move_clock(0);
      blocker.release();
      t.status(by_stream, FLAGOS_STATUS_TIMEOUT, "a timed wait for the stream");
      t.status(by_event, FLAGOS_STATUS_TIMEOUT, "a timed wait for the event");
      t.check(waited >= 0.09, "both waits take their time: " + std::to_string(waited) + " s");
      stream.synchronize();
    }
    t.smoke();
  });
}

// ---- a driver that is not there ----------------------------------------------------------------------------------------

// Names under which the known loaders look for drivers, and the plugin's own.
void hide_drivers(const std::string& plugin_path) {
  std::string name = std::filesystem::path(plugin_path).stem();
  name = name.substr(name.rfind('_') + 1);
  for (char& letter : name) letter = static_cast<char>(std::toupper(letter));
  for (const std::string& variable :
       {std::string("OCL_ICD_VENDORS"), std::string("OCL_ICD_FILENAMES"),
        std::string("VK_ICD_FILENAMES"), std::string("VK_DRIVER_FILES"),
        "FLAGOS_" + name + "_DRIVER"})
    setenv(variable.c_str(), "/nonexistent/driver", 1);
}

FLAGOS_HELPER("fault_driver_missing") {
  hide_drivers(h.settings.plugin_path);
  const flagos_runtime_desc_t desc{sizeof desc, FLAGOS_ABI_VERSION, nullptr,
                                   FLAGOS_RUNTIME_FLAG_NO_SEARCH, nullptr};
  flagos_runtime_t* runtime = nullptr;
  if (flagos_runtime_create(&desc, &runtime) != ok) return 2;
  const flagos_status_t added = flagos_runtime_add_plugin(runtime, h.settings.plugin_path.c_str());
  if (added != ok && (added != FLAGOS_STATUS_PLUGIN_REJECTED || *flagos_last_error() == '\0'))
    return 3;
  flagos_candidate_info_t info{};
  info.struct_size = sizeof info;
  std::uint32_t count = 0;
  if (flagos_runtime_get_candidate(runtime, 0, &info) != ok || std::strlen(info.reason) == 0)
    return added == ok ? 0 : 4;  // one that was loaded needs no reason
  if (flagos_device_get_count(runtime, &count) != ok) return 5;
  // What needs no driver still works.
  for (std::uint32_t i = 0; i < count; ++i) {
    flagos_device_t* device = nullptr;
    if (flagos_device_open(runtime, i, &device) == ok && flagos_device_close(device) != ok)
      return 6;
  }
  return flagos_runtime_destroy(runtime) == ok ? 0 : 7;
}

// ---- a cache that was being written ------------------------------------------------------------------------------------

FLAGOS_HELPER("fault_cache_writer") {
  setenv("FLAGOS_KERNEL_CACHE", h.arguments.at(0).c_str(), 1);
  static int after_us = 0;
  after_us = std::stoi(h.arguments.at(1));
  return run_checks(h, [](Context& t) {
    t.smoke();
    std::thread([] {
      usleep(static_cast<useconds_t>(after_us));
      raise(SIGKILL);
    }).detach();
    for (std::uint32_t factor = 1;; ++factor)
      t.check(tile::loads(t, factor), "the text is compiled");
  });
}

FLAGOS_HELPER("fault_cache_reader") {
  setenv("FLAGOS_KERNEL_CACHE", h.arguments.at(0).c_str(), 1);
  return run_checks(h, [](Context& t) {
    for (std::uint32_t factor = 1; factor < 4; ++factor)
      t.check(tile::loads(t, factor), "the text is compiled");
  });
}

}  // namespace

FLAGOS_CASE("fault.signal_storm",
            {.clause = "flagos.h: waits; signals every 0.1 ms, whose handlers restart nothing",
             .level = Level::full,
             .oracle = Oracle::code,
             .isolation = Isolation::multi}) {
  expect_helper(t, "fault_signal_storm");
}

FLAGOS_CASE("fault.clock_slow", {.clause = "design 3: results do not depend on when work is done",
                                 .level = Level::full,
                                 .oracle = Oracle::model,
                                 .isolation = Isolation::multi}) {
  expect_helper(t, "fault_clock_slow", {}, 300);
}

FLAGOS_CASE("lim.time.clock_jump", {.clause = "timeout_ns is measured on a clock that never jumps",
                                    .level = Level::full,
                                    .oracle = Oracle::live,
                                    .isolation = Isolation::multi}) {
  if (!faults::available()) t.resource("a sanitizer has clocks of its own");
  expect_helper(t, "lim_clock_jump");
}

FLAGOS_CASE("fault.driver_missing",
            {.clause = "flagos_plugin_open: no device is not an error; a refusal has a reason",
             .oracle = Oracle::code,
             .isolation = Isolation::multi}) {
  expect_helper(t, "fault_driver_missing");
  t.smoke();
}

FLAGOS_CASE("fault.kill_mid_write_cache",
            {.clause = "design 5: a torn entry of the kernel cache is not used",
             .level = Level::optional,
             .isolation = Isolation::multi,
             .feature = "compile"}) {
  if (!tile::is_taken(t) || !tile::loads(t, 2))
    t.not_supported("portable kernels are not compiled here");
  char name[] = "/tmp/flagos-conformance-XXXXXX";
  if (mkdtemp(name) == nullptr) t.resource("no folder can be made in /tmp");
  const std::string folder = name;
  struct Remove {
    const std::string& folder;
    ~Remove() {
      std::error_code ignored;
      std::filesystem::remove_all(folder, ignored);
    }
  } remove{folder};
  for (std::uint32_t round = 0; round < repeats(t, 6, 2); ++round) {
    t.subcase("round " + std::to_string(round));
    const auto after_us = std::to_string(1000 + t.random_below(400'000));
    std::string text;
    const int code = t.run_helper("fault_cache_writer", {folder, after_us}, 90, &text);
    t.equal(static_cast<std::uint64_t>(code), 1000 + SIGKILL, "the writer is killed: " + text);
    expect_helper(t, "fault_cache_reader", {folder});
  }
}

}  // namespace flagos::conformance
