// Ranks as processes, and what becomes of a communicator when one of them dies, stops or does nothing.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "conformance/cases/coll_support.hpp"
#include "conformance/cases/process.hpp"

namespace flagos::conformance {

using namespace coll;

namespace {

constexpr auto all_reduce = FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE;
constexpr auto int32 = FLAGOS_DTYPE_INT32;
constexpr std::uint64_t count = 1000;
constexpr std::uint64_t timeout_ns = 2'000'000'000;
constexpr double patience_s = static_cast<double>(patience_ns) * 1e-9;

std::string hexadecimal(const flagos_collective_id_t& id) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (std::uint32_t i = 0; i < id.size_bytes; ++i) {
    text += digits[id.bytes[i] >> 4];
    text += digits[id.bytes[i] & 15];
  }
  return text;
}

flagos_collective_id_t id_of(const std::string& text) {
  flagos_collective_id_t id{};
  id.size_bytes = static_cast<std::uint32_t>(text.size() / 2);
  for (std::uint32_t i = 0; i < id.size_bytes; ++i)
    id.bytes[i] = static_cast<std::uint8_t>(std::stoul(text.substr(2 * i, 2), nullptr, 16));
  return id;
}

// One rank of this process.
class Rank {
 public:
  Rank(Context& t, const flagos_collective_id_t& id, std::uint32_t rank, std::uint32_t size)
      : t_(t), rank_(rank), size_(size), stream_(t), source_(t, 4 * count), target_(t, 4 * count) {
    const flagos_status_t status =
        join(t.device(), id, rank, size, timeout_ns * 10, &communicator_);
    if (status == FLAGOS_STATUS_UNSUPPORTED) t.resource("the plugin wants a device for each rank");
    t.ok(status, "join as rank " + std::to_string(rank) + " of " + std::to_string(size));
    source_.write(values_of(rank, count, int32));
  }
  ~Rank() { flagos_communicator_destroy(communicator_); }
  Rank(const Rank&) = delete;
  Rank& operator=(const Rank&) = delete;

  flagos_communicator_t* communicator() const { return communicator_; }
  flagos_stream_t* stream() const { return stream_; }
  flagos_status_t sum() {
    Desc desc{};
    desc.struct_size = sizeof desc;
    desc.dtype = int32;
    desc.count = count;
    desc.source = source_.address();
    desc.target = target_.address();
    return flagos_collective_all_reduce(communicator_, stream_, &desc);
  }
  void sum_works() {
    t_.ok(sum(), "all_reduce");
    stream_.synchronize();
    t_.equal_bytes(target_.read(), reduced_values(size_, 0, count, int32, 0), "the sum");
  }
  // The rank that is gone may have done its part: the sum is right then.
  void comes_through_or_fails() {
    flagos_status_t status = sum();
    if (status == FLAGOS_STATUS_OK) status = flagos_stream_synchronize(stream_, patience_ns);
    if (status == FLAGOS_STATUS_OK)
      return t_.equal_bytes(target_.read(), reduced_values(size_, 0, count, int32, 0), "the sum");
    t_.check(FLAGOS_STATUS_CLASS(status) == FLAGOS_STATUS_CLASS_COMM,
             "the survivor is told, the status is " + std::to_string(status));
  }
  // A failure of the communicator, and not for ever.
  void ends_in_failure(double seconds) {
    const double since = now_seconds();
    flagos_status_t status = sum();
    if (status == FLAGOS_STATUS_OK) status = flagos_stream_synchronize(stream_, patience_ns);
    t_.check(FLAGOS_STATUS_CLASS(status) == FLAGOS_STATUS_CLASS_COMM,
             "the survivor is told, the status is " + std::to_string(status));
    t_.check(now_seconds() - since < seconds, "it is told soon");
    flagos_status_t found = FLAGOS_STATUS_OK;
    t_.ok(flagos_communicator_query_error(communicator_, &found), "ask what became of it");
    t_.check(FLAGOS_STATUS_CLASS(found) == FLAGOS_STATUS_CLASS_COMM,
             "the communicator has failed, the status is " + std::to_string(found));
    t_.check(std::strlen(flagos_last_error()) != 0, "there is a text");
    t_.check(sum() != FLAGOS_STATUS_OK, "it takes no more operations");
  }

 private:
  Context& t_;
  std::uint32_t rank_, size_;
  Stream stream_;
  Buffer source_, target_;
  flagos_communicator_t* communicator_ = nullptr;
};

// What a process of its own is told to do: id, rank, size, how many sums, and what then.
std::vector<std::string> given;

void be_a_rank(Context& t) {
  Rank rank(t, id_of(given[0]), static_cast<std::uint32_t>(std::stoul(given[1])),
            static_cast<std::uint32_t>(std::stoul(given[2])));
  for (int i = std::stoi(given[3]); i > 0; --i) rank.sum_works();
  if (given[4] == "die") raise(SIGKILL);
  if (given[4] == "die_queued") {
    t.ok(rank.sum(), "all_reduce");
    raise(SIGKILL);
  }
  if (given[4] == "exit") _exit(0);
  if (given[4].starts_with("stop")) {
    if (given[4] == "stop_queued") t.ok(rank.sum(), "all_reduce");
    raise(SIGSTOP);
    // Rank 0 lets it go on when it has given up on this one. What that had done of its part may still be used.
    rank.comes_through_or_fails();
    rank.ends_in_failure(patience_s);
  }
}

// Ranks 1 .. size - 1, each in a process; this one is rank 0.
class Processes {
 public:
  Processes(Context& t, const flagos_collective_id_t& id, std::uint32_t size, int sums,
            const std::string& then)
      : codes_(size), texts_(size) {
    for (std::uint32_t i = 1; i < size; ++i) {
      const std::vector<std::string> arguments = {hexadecimal(id), std::to_string(i),
                                                  std::to_string(size), std::to_string(sums),
                                                  i == 1 ? then : std::string("end")};
      team_.start([this, &t, i, arguments] {
        codes_[i] = t.run_helper("coll_rank", arguments, 4 * patience_s, &texts_[i]);
      });
    }
  }
  void join() { team_.join(); }
  int code(std::uint32_t rank) const { return codes_[rank]; }
  const std::string& text(std::uint32_t rank) const { return texts_[rank]; }

 private:
  std::vector<int> codes_;
  std::vector<std::string> texts_;
  Team team_;
};

void require_processes(Context& t) { require_operation(t, all_reduce, int32); }

// Rank 1 of two dies; the other one is told.
void lose_a_rank(Context& t, int sums, const std::string& how) {
  t.subcase(how + " after " + std::to_string(sums) + " sums");
  const flagos_collective_id_t id = make_id(t);
  Processes others(t, id, 2, sums, how);
  Rank rank(t, id, 0, 2);
  for (int i = 0; i < sums; ++i) rank.sum_works();
  others.join();
  if (how != "exit")
    t.equal(static_cast<std::uint64_t>(others.code(1)), 1000 + SIGKILL, "it is dead");
  rank.ends_in_failure(static_cast<double>(timeout_ns) * 10e-9 + 1);
  t.ok(flagos_stream_reset(rank.stream()), "the stream goes on after a reset");
}

std::string text_of(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// The process that was given this id, once it is stopped; 0 when there is none for long.
pid_t stopped_process(const flagos_collective_id_t& id) {
  const std::string name = hexadecimal(id);
  pid_t found = 0;
  eventually([&] {
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const int process = std::atoi(entry.path().filename().c_str());
      if (process == 0 || text_of(entry.path() / "cmdline").find(name) == std::string::npos)
        continue;
      if (text_of(entry.path() / "status").find("(stopped)") == std::string::npos) continue;
      found = process;
    }
    return found != 0;
  });
  return found;
}

// Rank 1 of two stops, with or without its part queued; rank 0 gives up on it, and then it is told, too.
void stop_a_rank(Context& t, const std::string& how) {
  t.subcase(how);
  const flagos_collective_id_t id = make_id(t);
  Processes others(t, id, 2, 1, how);
  Rank rank(t, id, 0, 2);
  rank.sum_works();
  const pid_t stopped = stopped_process(id);
  t.check(stopped != 0, "rank 1 is stopped");
  struct Wake {
    ~Wake() { kill(process, SIGCONT); }
    pid_t process;
  };
  {
    const Wake wake{stopped};
    if (how == "stop_queued") rank.comes_through_or_fails();
    rank.ends_in_failure(patience_s);
  }
  others.join();
  t.check(others.code(1) == 0, "the rank that was stopped is told: " + others.text(1));
}

constexpr CaseOptions multi(const char* clause, Oracle oracle = Oracle::code) {
  return options_of(clause, oracle, Isolation::multi);
}

}  // namespace

FLAGOS_HELPER("coll_rank") {
  given = h.arguments;
  return run_checks(h, be_a_rank);
}

FLAGOS_CASE("coll.multi_process_ranks",
            (multi("native collectives: ranks as processes", Oracle::exact))) {
  require_processes(t);
  for (const std::uint32_t size : {2u, 3u}) {
    t.subcase(std::to_string(size) + " processes");
    const flagos_collective_id_t id = make_id(t);
    Processes others(t, id, size, 20, "end");
    Rank rank(t, id, 0, size);
    for (int i = 0; i < 20; ++i) rank.sum_works();
    others.join();
    for (std::uint32_t i = 1; i < size; ++i)
      t.check(others.code(i) == 0, "rank " + std::to_string(i) + " ends with 0, it ended with " +
                                       std::to_string(others.code(i)) + ": " + others.text(i));
  }
}

FLAGOS_CASE("coll.fault.kill_rank", (multi("native collectives: Failure; a rank that is killed"))) {
  require_processes(t);
  lose_a_rank(t, 0, "die");
  lose_a_rank(t, 3, "die");
}

FLAGOS_CASE("coll.fault.kill_queued",
            (multi("native collectives: Failure; a rank that is killed in an operation"))) {
  require_processes(t);
  const flagos_collective_id_t id = make_id(t);
  Processes others(t, id, 2, 1, "die_queued");
  Rank rank(t, id, 0, 2);
  rank.sum_works();
  others.join();
  t.equal(static_cast<std::uint64_t>(others.code(1)), 1000 + SIGKILL, "it is dead");
  rank.comes_through_or_fails();
  rank.ends_in_failure(static_cast<double>(timeout_ns) * 10e-9 + 1);
}

FLAGOS_CASE("coll.fault.stop_rank",
            (multi("native collectives: Failure; a rank that is stopped, and goes on later"))) {
  require_processes(t);
  stop_a_rank(t, "stop");
  if (!t.settings().quick) stop_a_rank(t, "stop_queued");
}

FLAGOS_CASE("coll.fault.exit_rank", (multi("native collectives: Failure; a rank that exits"))) {
  require_processes(t);
  lose_a_rank(t, 1, "exit");
}

FLAGOS_CASE("coll.fault.recover_shrink",
            (multi("flagos_communicator_create after a failure", Oracle::exact))) {
  require_processes(t);
  lose_a_rank(t, 1, "die");
  t.subcase("a new one");
  const flagos_collective_id_t id = make_id(t);
  Processes others(t, id, 2, 5, "end");
  Rank rank(t, id, 0, 2);
  for (int i = 0; i < 5; ++i) rank.sum_works();
  others.join();
  t.check(others.code(1) == 0, "the new rank ends with 0: " + others.text(1));
}

// A rank that is there and does nothing.
FLAGOS_CASE("coll.fault.silent_rank",
            (options_of("flagos_communicator_desc_t.timeout_ns", Oracle::code, Isolation::own))) {
  require_operation(t, all_reduce, int32);
  if ((support_of(t, all_reduce, int32) & FLAGOS_COLLECTIVE_SUPPORT_FLAG_QUEUES_ONLY) == 0)
    t.not_supported("a call may wait for the other ranks");
  Ranks ranks(t, 2, 1 << 16, soon_ns);
  const Desc desc = ranks.desc(0, int32, 8);
  t.ok(flagos_collective_all_reduce(ranks.communicator(0), ranks.stream(0), &desc),
       "queue what the other rank never does");
  const flagos_status_t waited = flagos_stream_synchronize(ranks.stream(0), 10'000'000'000);
  if (waited == FLAGOS_STATUS_TIMEOUT) {
    flagos_collective_all_reduce(ranks.communicator(1), ranks.stream(1), &desc);
    t.not_supported("the plugin cannot tell that an operation gets nowhere");
  }
  t.status(waited, FLAGOS_STATUS_COMM_TIMEOUT, "the stream is let go");
  flagos_status_t found = FLAGOS_STATUS_OK;
  t.ok(flagos_communicator_query_error(ranks.communicator(0), &found), "ask what became of it");
  t.equal(static_cast<std::uint64_t>(found), FLAGOS_STATUS_COMM_TIMEOUT, "a timeout");
  t.ok(flagos_stream_reset(ranks.stream(0)), "the stream goes on after a reset");
}

// The failure is seen without a wait, and by ranks that called nothing.
FLAGOS_CASE("coll.fault.async_error_query",
            (options_of("flagos_communicator_query_error", Oracle::code, Isolation::own))) {
  require_operation(t, all_reduce, int32);
  Ranks ranks(t, 2);
  for (std::uint32_t i = 0; i < 2; ++i) {
    flagos_status_t found = FLAGOS_STATUS_INTERNAL;
    t.ok(flagos_communicator_query_error(ranks.communicator(i), &found), "ask a healthy one");
    t.equal(static_cast<std::uint64_t>(found), FLAGOS_STATUS_OK, "it is well");
  }
  const flagos_status_t aborted = flagos_communicator_abort(ranks.communicator(0));
  if (aborted == FLAGOS_STATUS_UNSUPPORTED) t.not_supported("the plugin does not abort");
  t.ok(aborted, "abort");
  flagos_status_t found = FLAGOS_STATUS_OK;
  t.ok(flagos_communicator_query_error(ranks.communicator(0), &found), "ask the one that aborted");
  t.equal(static_cast<std::uint64_t>(found), FLAGOS_STATUS_COMM_ABORTED, "aborted");
  t.check(std::strlen(flagos_last_error()) != 0, "there is a text");
  for (std::uint32_t i = 0; i < 2; ++i) {
    const Desc desc = ranks.desc(i, int32, 8);
    if (i == 0)
      t.status(flagos_collective_all_reduce(ranks.communicator(i), ranks.stream(i), &desc),
               FLAGOS_STATUS_COMM_ABORTED, "it takes no more operations");
  }
}

}  // namespace flagos::conformance
