// Collectives of this plugin: ranks as threads and as processes, order, groups, and everything that can go wrong. What the
// operations compute is tried by the tests of comm/, which run on them, too.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "plugins/cpu/test_plugin.hpp"

namespace flagos::cpu::test {
namespace {

using Communicators = std::vector<flagos_plugin_communicator_t*>;

flagos_collective_id_t make_id(TestDevice& device) {
  flagos_collective_id_t id{};
  REQUIRE(device.api.collective->unique_id_create(device.get(), &id) == FLAGOS_STATUS_OK);
  return id;
}

flagos_status_t join(TestDevice& device, const flagos_collective_id_t& id, std::uint32_t rank,
                     std::uint32_t size, std::uint64_t timeout_ns,
                     flagos_plugin_communicator_t** out) {
  flagos_communicator_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.rank = rank;
  desc.size = size;
  desc.id = &id;
  desc.timeout_ns = timeout_ns;
  return device.api.collective->communicator_create(device.get(), &desc, out);
}

// Calls body(rank), each from a thread of its own.
void in_threads(std::uint32_t count, const std::function<void(std::uint32_t)>& body) {
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < count; ++i) threads.emplace_back([&body, i] { body(i); });
  for (std::thread& thread : threads) thread.join();
}

// Ranks as threads: a stream and 1 MiB of int32 for each.
struct Ranks {
  static constexpr std::uint64_t words = 1 << 18;

  explicit Ranks(std::uint32_t count, std::uint64_t timeout_ns = 60'000'000'000)
      : size(count), all(count) {
    const flagos_collective_id_t id = make_id(device);
    std::atomic<int> joined{0};
    in_threads(count, [&](std::uint32_t rank) {
      joined += join(device, id, rank, count, timeout_ns, &all[rank]) == FLAGOS_STATUS_OK;
    });
    REQUIRE(joined == static_cast<int>(count));
    for (std::uint32_t rank = 0; rank < count; ++rank) {
      streams.push_back(device.stream());
      memory.push_back(device.alloc(4 * words));
    }
  }
  ~Ranks() {
    for (std::uint32_t rank = 0; rank < size; ++rank) leave(rank);
  }
  void leave(std::uint32_t rank) {
    if (all[rank] == nullptr) return;
    device.wait(streams[rank]);
    table().communicator_destroy(all[rank]);
    all[rank] = nullptr;
  }
  const flagos_collective_table_t& table() const { return *device.api.collective; }
  std::int32_t* data(std::uint32_t rank) const {
    return reinterpret_cast<std::int32_t*>(memory[rank]);
  }
  flagos_collective_desc_t desc(std::uint32_t rank, std::uint64_t count) const {
    flagos_collective_desc_t made{};
    made.struct_size = sizeof(made);
    made.dtype = FLAGOS_DTYPE_INT32;
    made.source = made.target = memory[rank];
    made.count = count;
    return made;
  }
  flagos_status_t sum(std::uint32_t rank, std::uint64_t count) {
    const flagos_collective_desc_t call = desc(rank, count);
    return table().all_reduce(all[rank], streams[rank], &call);
  }
  flagos_status_t wait(std::uint32_t rank) { return device.wait(streams[rank]); }
  flagos_status_t error(std::uint32_t rank) {
    flagos_status_t found = FLAGOS_STATUS_OK;
    REQUIRE(table().communicator_query_error(all[rank], &found) == FLAGOS_STATUS_OK);
    return found;
  }

  TestDevice device;
  const std::uint32_t size;
  Communicators all;
  std::vector<flagos_plugin_stream_t*> streams;
  std::vector<std::uint64_t> memory;
};

void contains(const std::string& text, const char* part) {
  CHECK_MESSAGE(text.find(part) != std::string::npos, text);
}

}  // namespace

TEST_CASE("collective: one thread serves all ranks; small and large sums, many in a row") {
  for (const std::uint32_t size : {1u, 2u, 3u, 5u}) {
    Ranks ranks(size);
    for (const std::uint64_t count : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1001},
                                      std::uint64_t{5000}, std::uint64_t{70001}, Ranks::words}) {
      for (std::uint32_t rank = 0; rank < size; ++rank)
        for (std::uint64_t i = 0; i < count; ++i)
          ranks.data(rank)[i] = static_cast<std::int32_t>(rank + i);
      constexpr int times = 3;
      std::uint64_t factor = 1;  // of the sums that are summed again
      for (int i = 0; i < times; ++i) {
        for (std::uint32_t rank = 0; rank < size; ++rank)
          CHECK(ranks.sum(rank, count) == FLAGOS_STATUS_OK);
        if (i > 0) factor *= size;
      }
      for (std::uint32_t rank = 0; rank < size; ++rank) {
        CHECK(ranks.wait(rank) == FLAGOS_STATUS_OK);
        std::uint64_t wrong = 0;
        for (std::uint64_t i = 0; i < count; ++i) {
          const std::uint64_t once = std::uint64_t{size} * i + size * (size - 1) / 2;
          wrong += ranks.data(rank)[i] != static_cast<std::int32_t>(once * factor);
        }
        CHECK(wrong == 0);
      }
    }
  }
}

TEST_CASE("collective: operations on several streams keep the order of the calls") {
  Ranks ranks(2);
  const std::array<flagos_plugin_stream_t*, 2> more = {ranks.device.stream(),
                                                       ranks.device.stream()};
  for (std::uint32_t rank = 0; rank < 2; ++rank) ranks.data(rank)[0] = 1;
  for (int i = 0; i < 10; ++i) {
    for (std::uint32_t rank = 0; rank < 2; ++rank) {
      const flagos_collective_desc_t call = ranks.desc(rank, 1);
      CHECK(ranks.table().all_reduce(ranks.all[rank], i % 2 == 0 ? ranks.streams[rank] : more[rank],
                                     &call) == FLAGOS_STATUS_OK);
    }
  }
  for (std::uint32_t rank = 0; rank < 2; ++rank) {
    CHECK(ranks.wait(rank) == FLAGOS_STATUS_OK);
    CHECK(ranks.device.wait(more[rank]) == FLAGOS_STATUS_OK);
    CHECK(ranks.data(rank)[0] == 1024);
  }
}

TEST_CASE("collective: a group of sends and receives of all pairs, to itself too") {
  constexpr std::uint32_t size = 3;
  constexpr std::uint64_t count = 30000;
  Ranks ranks(size);
  // Blocks 0 .. 2 are sent, blocks 3 .. 5 received.
  for (std::uint32_t rank = 0; rank < size; ++rank)
    for (std::uint64_t i = 0; i < size * count; ++i)
      ranks.data(rank)[i] = static_cast<std::int32_t>(rank * size * count + i);
  for (std::uint32_t rank = 0; rank < size; ++rank) {
    flagos_plugin_instance_t* const instance = ranks.device.api.instance;
    REQUIRE(ranks.table().group_begin(instance) == FLAGOS_STATUS_OK);
    for (std::uint32_t peer = 0; peer < size; ++peer) {
      flagos_collective_desc_t call = ranks.desc(rank, count);
      call.peer = peer;
      call.target = 0;
      call.source = ranks.memory[rank] + 4 * count * peer;
      CHECK(ranks.table().send(ranks.all[rank], ranks.streams[rank], &call) == FLAGOS_STATUS_OK);
      call.target = ranks.memory[rank] + 4 * count * (size + peer);
      call.source = 0;
      CHECK(ranks.table().receive(ranks.all[rank], ranks.streams[rank], &call) == FLAGOS_STATUS_OK);
    }
    REQUIRE(ranks.table().group_end(instance) == FLAGOS_STATUS_OK);
  }
  for (std::uint32_t rank = 0; rank < size; ++rank) {
    CHECK(ranks.wait(rank) == FLAGOS_STATUS_OK);
    for (std::uint32_t peer = 0; peer < size; ++peer)
      CHECK(ranks.data(rank)[(size + peer) * count + 7] ==
            static_cast<std::int32_t>((peer * size + rank) * count + 7));
  }
}

TEST_CASE("collective: ranks that disagree all hear of it, and streams say why they failed") {
  Ranks ranks(3);
  for (std::uint32_t rank = 0; rank < 3; ++rank)
    CHECK(ranks.sum(rank, rank == 1 ? 8 : 7) == FLAGOS_STATUS_OK);
  for (std::uint32_t rank = 0; rank < 3; ++rank) {
    CHECK(ranks.wait(rank) == FLAGOS_STATUS_RANK_MISMATCH);
    contains(ranks.device.host.last_error(), "all_reduce: rank ");
    contains(ranks.device.host.last_error(), "elements instead of");
    CHECK(ranks.error(rank) == FLAGOS_STATUS_RANK_MISMATCH);
    CHECK(ranks.sum(rank, 7) == FLAGOS_STATUS_RANK_MISMATCH);
    CHECK(ranks.device.api.stream->reset(ranks.streams[rank]) == FLAGOS_STATUS_OK);
  }
  // Messages that differ in size.
  Ranks two(2);
  flagos_collective_desc_t call = two.desc(0, 4);
  call.peer = 1;
  CHECK(two.table().send(two.all[0], two.streams[0], &call) == FLAGOS_STATUS_OK);
  call = two.desc(1, 5);
  CHECK(two.table().receive(two.all[1], two.streams[1], &call) == FLAGOS_STATUS_OK);
  CHECK(two.wait(1) == FLAGOS_STATUS_RANK_MISMATCH);
  contains(two.device.host.last_error(), "rank 0 sends 16 bytes, rank 1 receives 20");
}

TEST_CASE("collective: an abort ends what waits, on all ranks; another changes nothing") {
  Ranks ranks(3);
  CHECK(ranks.sum(0, 8) == FLAGOS_STATUS_OK);
  CHECK(ranks.sum(1, 8) == FLAGOS_STATUS_OK);
  CHECK(ranks.device.api.stream->synchronize(ranks.streams[0], 20'000'000) ==
        FLAGOS_STATUS_TIMEOUT);
  CHECK(ranks.error(0) == FLAGOS_STATUS_OK);
  CHECK(ranks.table().communicator_abort(ranks.all[2]) == FLAGOS_STATUS_OK);
  CHECK(ranks.table().communicator_abort(ranks.all[0]) == FLAGOS_STATUS_OK);
  for (std::uint32_t rank = 0; rank < 2; ++rank)
    CHECK(ranks.wait(rank) == FLAGOS_STATUS_COMM_ABORTED);
  contains(ranks.device.host.last_error(), "rank 2 aborted the communicator");
  CHECK(ranks.error(2) == FLAGOS_STATUS_COMM_ABORTED);
}

TEST_CASE("collective: a rank that does not come, that leaves, whose stream has failed") {
  Ranks late(2, 300'000'000);
  CHECK(late.sum(0, 8) == FLAGOS_STATUS_OK);
  CHECK(late.wait(0) == FLAGOS_STATUS_COMM_TIMEOUT);
  contains(late.device.host.last_error(), "ms for rank 1");

  Ranks gone(2);
  CHECK(gone.sum(0, 8) == FLAGOS_STATUS_OK);
  gone.leave(1);
  CHECK(gone.wait(0) == FLAGOS_STATUS_RANK_FAILED);
  contains(gone.device.host.last_error(), "all_reduce: rank 1 has left the communicator");

  Ranks broken(2);
  const std::uint64_t flag = broken.device.alloc(4);
  CHECK(broken.device.api.stream->wait_value(broken.streams[1], flag, 1, 4, FLAGOS_COMPARE_EQUAL) ==
        FLAGOS_STATUS_OK);
  const struct {
    std::uint32_t block = 0;
    std::int32_t status = FLAGOS_STATUS_EXECUTION_FAILED;
  } fails;
  CHECK(broken.device.launch(broken.streams[1], "test_fail", fails) == FLAGOS_STATUS_OK);
  CHECK(broken.sum(1, 8) == FLAGOS_STATUS_OK);
  CHECK(broken.sum(0, 8) == FLAGOS_STATUS_OK);
  CHECK(broken.device.api.stream->write_value(broken.device.stream(), flag, 1, 4) ==
        FLAGOS_STATUS_OK);
  CHECK(broken.wait(0) == FLAGOS_STATUS_RANK_FAILED);
  contains(broken.device.host.last_error(), "the stream of rank 1 has failed before it");
}

TEST_CASE("collective: what joining refuses, on all ranks") {
  TestDevice device;
  constexpr std::uint64_t soon = 300'000'000, late = 60'000'000'000;
  std::array<flagos_status_t, 2> status{};
  const auto both = [&](std::uint32_t rank, std::uint32_t size) {
    const flagos_collective_id_t id = make_id(device);
    in_threads(2, [&](std::uint32_t i) {
      flagos_plugin_communicator_t* made = nullptr;
      status[i] =
          i == 0 ? join(device, id, 0, 2, late, &made) : join(device, id, rank, size, late, &made);
      CHECK(made == nullptr);
    });
  };
  both(0, 2);
  CHECK(status[0] == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(status[1] == FLAGOS_STATUS_INVALID_ARGUMENT);
  contains(device.host.last_error(), "two ranks of number 0");
  both(1, 3);
  CHECK(status[0] == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(status[1] == FLAGOS_STATUS_INVALID_ARGUMENT);
  flagos_plugin_communicator_t* made = nullptr;
  CHECK(join(device, make_id(device), 1, 3, soon, &made) == FLAGOS_STATUS_COMM_TIMEOUT);
  contains(device.host.last_error(), "rank 0, 2 did not join in time");
  flagos_collective_id_t id = make_id(device);
  id.size_bytes = 128;
  CHECK(join(device, id, 0, 1, soon, &made) == FLAGOS_STATUS_COMM_REFUSED);
  CHECK(join(device, make_id(device), 0, 129, soon, &made) == FLAGOS_STATUS_UNSUPPORTED);
  // An id serves once: who comes later waits for others that do not come.
  id = make_id(device);
  REQUIRE(join(device, id, 0, 1, soon, &made) == FLAGOS_STATUS_OK);
  flagos_plugin_communicator_t* second = nullptr;
  CHECK(join(device, id, 1, 2, soon, &second) == FLAGOS_STATUS_COMM_TIMEOUT);
  device.api.collective->communicator_destroy(made);
}

TEST_CASE("collective: a split gives parts their own ranks, and the whole goes on") {
  Ranks ranks(4);
  Communicators parts(4);
  std::array<std::uint32_t, 4> rank_in{}, size_of{};
  std::atomic<int> done{0};
  // Even ranks together in reverse order, rank 1 alone, rank 3 in none.
  in_threads(4, [&](std::uint32_t i) {
    const std::int32_t color = i == 3 ? FLAGOS_COMMUNICATOR_COLOR_NONE : static_cast<int>(i % 2);
    done += ranks.table().communicator_split(ranks.all[i], color, -static_cast<int>(i), &parts[i],
                                             &rank_in[i], &size_of[i]) == FLAGOS_STATUS_OK;
  });
  CHECK(done == 4);
  CHECK(parts[3] == nullptr);
  CHECK(size_of == std::array<std::uint32_t, 4>{2, 1, 2, 0});
  CHECK(rank_in == std::array<std::uint32_t, 4>{1, 0, 0, 0});
  for (std::uint32_t rank = 0; rank < 4; ++rank) ranks.data(rank)[0] = 1 << rank;
  for (const std::uint32_t rank : {0u, 2u, 1u}) {
    const flagos_collective_desc_t call = ranks.desc(rank, 1);
    CHECK(ranks.table().all_reduce(parts[rank], ranks.streams[rank], &call) == FLAGOS_STATUS_OK);
  }
  for (std::uint32_t rank = 0; rank < 4; ++rank) CHECK(ranks.sum(rank, 1) == FLAGOS_STATUS_OK);
  for (std::uint32_t rank = 0; rank < 4; ++rank) {
    CHECK(ranks.wait(rank) == FLAGOS_STATUS_OK);
    CHECK(ranks.data(rank)[0] == 5 + 2 + 5 + 8);
  }
  for (flagos_plugin_communicator_t* part : parts)
    if (part != nullptr) ranks.table().communicator_destroy(part);
}

TEST_CASE("collective: what is not defined is refused, with nothing queued") {
  Ranks ranks(1);
  flagos_collective_desc_t call = ranks.desc(0, 4);
  call.dtype = FLAGOS_DTYPE_FLOAT32;
  call.reduction = FLAGOS_COLLECTIVE_REDUCTION_BIT_AND;
  CHECK(ranks.table().all_reduce(ranks.all[0], ranks.streams[0], &call) ==
        FLAGOS_STATUS_UNSUPPORTED);
  flagos_collective_support_t support{};
  CHECK(ranks.table().query(ranks.device.get(), FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE, call.dtype,
                            call.reduction, &support) == FLAGOS_STATUS_OK);
  CHECK(support.flags == 0);
  CHECK(ranks.table().query(ranks.device.get(), FLAGOS_COLLECTIVE_OPERATION_ALL_GATHER,
                            FLAGOS_DTYPE_UINT8, 0, &support) == FLAGOS_STATUS_OK);
  CHECK((support.flags & FLAGOS_COLLECTIVE_SUPPORT_FLAG_RUNS) != 0);
}

// ---- processes --------------------------------------------------------------------------------

namespace {

// What a process does as a rank: sums and messages until it is told to stop or something fails.
int run_rank(
    const flagos_collective_id_t& id, std::uint32_t rank, std::uint32_t size, int rounds,
    flagos_status_t& out_status, std::string& out_text,
    const std::function<void(int)>& before_round = [](int) {}) {
  TestDevice device;
  flagos_plugin_communicator_t* self = nullptr;
  out_status = join(device, id, rank, size, 20'000'000'000, &self);
  if (out_status != FLAGOS_STATUS_OK) return 1;
  flagos_plugin_stream_t* const stream = device.stream();
  constexpr std::uint64_t count = 100'003;
  const std::uint64_t memory = device.alloc(4 * count);
  auto* const data = reinterpret_cast<std::int32_t*>(memory);
  const std::uint64_t received = device.alloc(4 * count);
  int wrong = 0;
  for (int round = 0; round < rounds && out_status == FLAGOS_STATUS_OK; ++round) {
    before_round(round);
    for (std::uint64_t i = 0; i < count; ++i) data[i] = static_cast<std::int32_t>(rank + i);
    flagos_collective_desc_t call{};
    call.struct_size = sizeof(call);
    call.dtype = FLAGOS_DTYPE_INT32;
    call.source = call.target = memory;
    call.count = round % 2 == 0 ? count : 100;
    out_status = device.api.collective->all_reduce(self, stream, &call);
    if (out_status == FLAGOS_STATUS_OK) out_status = device.wait(stream);
    if (out_status != FLAGOS_STATUS_OK) break;
    for (std::uint64_t i = 0; i < call.count; ++i)
      wrong += data[i] != static_cast<std::int32_t>(size * i + size * (size - 1) / 2);
    // Around the ring.
    call.peer = (rank + 1) % size;
    call.target = 0;
    device.api.collective->group_begin(device.api.instance);
    device.api.collective->send(self, stream, &call);
    call.target = received;
    call.source = 0;
    call.peer = (rank + size - 1) % size;
    device.api.collective->receive(self, stream, &call);
    out_status = device.api.collective->group_end(device.api.instance);
    if (out_status == FLAGOS_STATUS_OK) out_status = device.wait(stream);
    const auto* const there = reinterpret_cast<const std::int32_t*>(received);
    for (std::uint64_t i = 0; i < call.count && out_status == FLAGOS_STATUS_OK; ++i)
      wrong += there[i] != data[i];
  }
  out_text = device.host.last_error();
  device.api.collective->communicator_destroy(self);
  return wrong == 0 ? 0 : 2;
}

pid_t start_rank(const flagos_collective_id_t& id, std::uint32_t rank, std::uint32_t size,
                 int rounds) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child != 0) return child;
  flagos_status_t status = FLAGOS_STATUS_OK;
  std::string text;
  const int code = run_rank(id, rank, size, rounds, status, text);
  _exit(code != 0 ? code : status == FLAGOS_STATUS_OK ? 0 : 3);
}

// An id without a device: processes are forked before anything has threads.
flagos_collective_id_t make_early_id() {
  TestDevice device;
  return make_id(device);
}

}  // namespace

TEST_CASE("collective: ranks as processes") {
  const flagos_collective_id_t id = make_early_id();
  constexpr std::uint32_t size = 3;
  std::vector<pid_t> children;
  for (std::uint32_t rank = 1; rank < size; ++rank)
    children.push_back(start_rank(id, rank, size, 8));
  flagos_status_t status = FLAGOS_STATUS_OK;
  std::string text;
  CHECK(run_rank(id, 0, size, 8, status, text) == 0);
  CHECK_MESSAGE(status == FLAGOS_STATUS_OK, text);
  for (const pid_t child : children) {
    int ended = 0;
    REQUIRE(waitpid(child, &ended, 0) == child);
    CHECK(ended == 0);
  }
}

TEST_CASE("collective: a process that is killed is named by those that are left") {
  const flagos_collective_id_t id = make_early_id();
  const pid_t other = start_rank(id, 1, 3, 1'000'000);
  const pid_t victim = start_rank(id, 2, 3, 1'000'000);
  flagos_status_t status = FLAGOS_STATUS_OK;
  std::string text;
  CHECK(run_rank(id, 0, 3, 1'000'000, status, text, [victim](int round) {
          if (round == 3) kill(victim, SIGKILL);
        }) == 0);
  CHECK(status == FLAGOS_STATUS_RANK_FAILED);
  contains(text, "rank 2 has died");
  int ended = 0;
  REQUIRE(waitpid(victim, &ended, 0) == victim);
  REQUIRE(waitpid(other, &ended, 0) == other);
  CHECK(WEXITSTATUS(ended) == 3);
}

}  // namespace flagos::cpu::test
