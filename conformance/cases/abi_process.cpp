// Processes that end, fork, start others or get signals while the runtime lives.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cfenv>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "conformance/cases/entries.hpp"
#include "conformance/cases/process.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr std::uint64_t a_minute = 60'000'000'000u;

// Ends in the middle of its work, with everything alive.
FLAGOS_HELPER("abi_exit_with_work") {
  return run_checks(h, [](Context& t) {
    World world(t);
    auto* const stream = new Stream(t);
    auto* const blocker = new Blocker(t, *stream);
    t.ok(flagos_memory_copy(*stream, world.target(), world.source(), 64),
         "queue a copy behind the blocker");
    t.check(blocker != nullptr, "the stream is busy");
    std::exit(42);
  });
}

FLAGOS_HELPER("abi_killed_with_work") {
  return run_checks(h, [](Context& t) {
    World world(t);
    Stream stream(t);
    Blocker blocker(t, stream);
    t.ok(flagos_memory_copy(stream, world.target(), world.source(), 64),
         "queue a copy behind the blocker");
    raise(SIGKILL);
  });
}

FLAGOS_HELPER("abi_smoke") {
  return run_checks(h, [](Context& t) { t.smoke(); });
}

// Entries that neither need an object nor touch the process's state may answer in a child too.
bool may_answer_in_child(const std::string& name) {
  return name == "flagos_get_version" || name == "flagos_get_proc" || name == "flagos_range_push" ||
         name == "flagos_range_pop" || name == "flagos_set_log_callback";
}

// In the child: every entry with what was valid in the parent. No memory of the harness is torn
// down here.
int every_entry_knows_the_child(World& world, const std::vector<std::unique_ptr<Call>>& calls,
                                const std::vector<flagos_proc_t>& procedures) {
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const Entry& entry = calls[i]->entry;
    if (entry.name == "flagos_runtime_abandon" || may_answer_in_child(entry.name)) continue;
    const flagos_status_t status = entry.invoke(procedures[i], calls[i]->values.data());
    if (status == FLAGOS_STATUS_BAD_PROCESS) continue;
    std::fprintf(stderr, "%s in the child of a fork: %s\n", entry.name.c_str(),
                 flagos_status_get_name(status));
    return 3;
  }
  return flagos_runtime_abandon(world.runtime()) == ok ? 0 : 4;
}

FLAGOS_HELPER("abi_fork_after_use") {
  return run_checks(h, [](Context& t) {
    World world(t);
    std::vector<std::unique_ptr<Call>> calls;
    std::vector<flagos_proc_t> procedures;
    for (const Entry& entry : entries()) {
      if (entry.name == "flagos_stream_end_capture")
        continue;  // would leave a capture open in the parent
      calls.push_back(std::make_unique<Call>(world, entry));
      procedures.push_back(procedure(entry.name));
    }
    const int code =
        t.in_child([&] { return every_entry_knows_the_child(world, calls, procedures); }, 60);
    t.equal(static_cast<std::uint64_t>(code), 0, "exit code of the child");
    calls.clear();
    t.check(world.snapshot().size() > 100, "the parent's objects still answer");
    t.status(world.close(), ok, "the parent's objects can be destroyed");
    t.smoke();
  });
}

// Forks before there is a runtime: both sides start one of their own.
FLAGOS_HELPER("abi_fork_before_use") {
  const pid_t child = fork();
  const int code = run_checks(h, [](Context& t) { t.smoke(); });
  if (child == 0) _exit(code);
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    std::fprintf(stderr, "the child ended with wait status %d\n", status);
    return 5;
  }
  return code;
}

// Every descriptor that the runtime and the plugin opened is closed on exec.
void expect_close_on_exec(Context& t, const std::set<int>& before) {
  for (const int descriptor : open_descriptors()) {
    const int flags = fcntl(descriptor, F_GETFD);
    if (before.contains(descriptor) || flags < 0) continue;
    t.check((flags & FD_CLOEXEC) != 0,
            "descriptor " + std::to_string(descriptor) + " is closed on exec");
  }
}

FLAGOS_HELPER("abi_exec_in_child") {
  return run_checks(h, [](Context& t) {
    const auto before = open_descriptors();
    World world(t);
    expect_close_on_exec(t, before);
    Stream stream(t);
    Buffer buffer(t, 4096);
    const std::vector<std::uint8_t> bytes(4096, 0x3d);
    Blocker blocker(t, stream);
    t.ok(flagos_memory_fill(stream, buffer.address(), bytes.data(), 1, bytes.size()),
         "queue a fill");
    expect_helper(t, "abi_smoke");
    blocker.release();
    stream.synchronize();
    t.equal_bytes(buffer.read(), bytes, "what was queued before the other process ran");
  });
}

volatile std::sig_atomic_t signals_seen = 0;

FLAGOS_HELPER("abi_signals") {
  const auto own_threads = thread_ids();
  static std::set<int> before;
  before = own_threads;
  return run_checks(h, [](Context& t) {
    t.smoke();
    World world(t);
    const int numbers[] = {SIGUSR1, SIGALRM, SIGCHLD};
    for (const int thread : thread_ids()) {
      if (before.contains(thread)) continue;
      for (const int number : numbers)
        t.check((blocked_signals(thread) >> (number - 1) & 1) != 0,
                "thread " + std::to_string(thread) + " blocks signal " + std::to_string(number));
    }
    for (const int number : numbers) {
      signals_seen = 0;
      struct sigaction action {
      }, former{};
      action.sa_handler = [](int) { signals_seen = signals_seen + 1; };
      sigaction(number, &action, &former);
      kill(getpid(), number);
      const double end = now_seconds() + 30;
      while (signals_seen == 0 && now_seconds() < end) usleep(1000);
      sigaction(number, &former, nullptr);
      t.equal(static_cast<std::uint64_t>(signals_seen), 1,
              "deliveries of signal " + std::to_string(number));
    }
  });
}

struct ProcessState {
  void (*broken_pipe)(int);
  int rounding;
  std::string locale;
  std::filesystem::path folder;
  mode_t mask;
  bool operator==(const ProcessState&) const = default;
};

ProcessState process_state() {
  struct sigaction action {};
  sigaction(SIGPIPE, nullptr, &action);
  const mode_t mask = umask(022);
  umask(mask);
  return {action.sa_handler, std::fegetround(), std::setlocale(LC_ALL, nullptr),
          std::filesystem::current_path(), mask};
}

// The smallest subnormal number, doubled: 0 where subnormals are flushed.
double twice_the_smallest() {
  volatile double smallest = 4.9406564584124654e-324;
  return smallest * 2;
}

}  // namespace

FLAGOS_CASE("abi.load.exit_without_shutdown",
            {.clause = "design 3: exit with live objects and pending work",
             .oracle = Oracle::live,
             .isolation = Isolation::own}) {
  std::string text;
  const int code = t.run_helper("abi_exit_with_work", {}, 60, &text);
  t.check(code == 42, "the process ends by its own exit(42), it ended with " +
                          std::to_string(code) + ": " + text);
  expect_helper(t, "abi_smoke", {}, 60);
}

FLAGOS_CASE("abi.load.quick_exit_kill", {.clause = "design 3: a killed process holds nothing",
                                         .oracle = Oracle::live,
                                         .isolation = Isolation::own}) {
  std::string text;
  const int code = t.run_helper("abi_killed_with_work", {}, 60, &text);
  t.check(code == 1000 + SIGKILL,
          "the process dies of SIGKILL, it ended with " + std::to_string(code) + ": " + text);
  expect_helper(t, "abi_smoke", {}, 60);
}

FLAGOS_CASE("abi.load.fork_child_detects",
            {.clause = "flagos.h: fork", .oracle = Oracle::code, .isolation = Isolation::own}) {
  expect_helper(t, "abi_fork_after_use");
}

FLAGOS_CASE("abi.load.fork_before_init",
            {.clause = "flagos.h: fork", .isolation = Isolation::own}) {
  expect_helper(t, "abi_fork_before_use");
}

FLAGOS_CASE("abi.load.exec_in_child",
            {.clause = "design 3: descriptors are closed on exec", .isolation = Isolation::own}) {
  expect_helper(t, "abi_exec_in_child", {}, 110);
}

FLAGOS_CASE("abi.load.signal_mask_preserved",
            {.clause = "flagos_plugin.h rule 6: threads block all signals",
             .level = Level::full,
             .isolation = Isolation::own}) {
  expect_helper(t, "abi_signals");
}

FLAGOS_CASE("abi.load.sigpipe_fpe_state", {.clause = "flagos_plugin.h rule 6: the process's state",
                                           .level = Level::full,
                                           .isolation = Isolation::own}) {
  const ProcessState before = process_state();
  const double subnormal = twice_the_smallest();
  t.smoke();
  World world(t);
  for (const Entry& entry : entries()) {
    t.subcase(entry.name);
    Call(world, entry).run();
    t.check(process_state() == before,
            "signal disposition, rounding, locale, folder and umask stay as they were");
    t.check(twice_the_smallest() == subnormal, "subnormal numbers are treated as before");
  }
  t.ok(flagos_stream_synchronize(world.stream(), a_minute), "the work is done");
}

}  // namespace flagos::conformance
