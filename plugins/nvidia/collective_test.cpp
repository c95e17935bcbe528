// Ranks as threads, and as processes, on the fake's NCCL, which lets them share a device.
#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "plugins/nvidia/test_plugin.hpp"

namespace flagos::nvidia::test {
namespace {

constexpr std::uint64_t late_ns = 60'000'000'000u, soon_ns = 300'000'000u;

void in_threads(std::uint32_t count, const std::function<void(std::uint32_t)>& body) {
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < count; ++i) threads.emplace_back([&body, i] { body(i); });
  for (std::thread& thread : threads) thread.join();
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

flagos_collective_desc_t call_of(flagos_dtype_t dtype, std::uint64_t source, std::uint64_t target,
                                 std::uint64_t count) {
  flagos_collective_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.dtype = dtype;
  desc.source = source;
  desc.target = target;
  desc.count = count;
  return desc;
}

// Ranks on one device, each with a stream and 64 KiB.
class Ranks {
 public:
  Ranks(TestDevice& device, std::uint32_t size, std::uint64_t timeout_ns = late_ns)
      : device_(device), table(*device.api.collective), all(size) {
    REQUIRE(table.unique_id_create(device.get(), &id) == FLAGOS_STATUS_OK);
    std::vector<flagos_status_t> statuses(size);
    in_threads(size, [&](std::uint32_t i) {
      statuses[i] = join(device, id, i, size, timeout_ns, &all[i]);
    });
    for (std::uint32_t i = 0; i < size; ++i) {
      REQUIRE(statuses[i] == FLAGOS_STATUS_OK);
      streams.push_back(device.stream());
      memory.push_back(device.alloc(1 << 16));
    }
  }
  ~Ranks() {
    for (flagos_plugin_communicator_t* communicator : all)
      if (communicator != nullptr) table.communicator_destroy(communicator);
  }
  flagos_status_t query(std::uint32_t i) {
    flagos_status_t found = FLAGOS_STATUS_OK;
    CHECK(table.communicator_query_error(all[i], &found) == FLAGOS_STATUS_OK);
    return found;
  }

 private:
  TestDevice& device_;

 public:
  const flagos_collective_table_t& table;
  flagos_collective_id_t id{};
  std::vector<flagos_plugin_communicator_t*> all;
  std::vector<flagos_plugin_stream_t*> streams;
  std::vector<std::uint64_t> memory;
};

void write(TestDevice& device, flagos_plugin_stream_t* stream, std::uint64_t address,
           const std::vector<std::uint32_t>& words) {
  CHECK(device.copy(stream, address, address_of(words.data()), 4 * words.size()) ==
        FLAGOS_STATUS_OK);
  CHECK(device.wait(stream) == FLAGOS_STATUS_OK);
}

TEST_CASE("collective: a premultiplied sum, and a group of one rank's messages to all") {
  TestDevice device;
  Ranks ranks(device, 3);
  std::vector<flagos_status_t> statuses(3);
  for (std::uint32_t i = 0; i < 3; ++i)
    write(device, ranks.streams[i], ranks.memory[i], {0x3f800000, 0x40000000});  // 1 and 2
  in_threads(3, [&](std::uint32_t i) {
    auto desc = call_of(FLAGOS_DTYPE_FLOAT32, ranks.memory[i], ranks.memory[i] + 256, 2);
    desc.reduction = FLAGOS_COLLECTIVE_REDUCTION_PREMULTIPLIED_SUM;
    desc.scale = i;  // 0 + 1 + 2
    statuses[i] = ranks.table.all_reduce(ranks.all[i], ranks.streams[i], &desc);
  });
  for (std::uint32_t i = 0; i < 3; ++i) {
    CHECK(statuses[i] == FLAGOS_STATUS_OK);
    CHECK(device.read(ranks.streams[i], ranks.memory[i] + 256, 2) ==
          std::vector<std::uint32_t>{0x40400000, 0x40c00000});
  }
  // One thread, all ranks: only a group can do this.
  REQUIRE(ranks.table.group_begin(device.api.instance) == FLAGOS_STATUS_OK);
  for (std::uint32_t i = 0; i < 3; ++i) {
    const auto desc = call_of(FLAGOS_DTYPE_FLOAT32, ranks.memory[i], ranks.memory[i] + 512, 1);
    CHECK(ranks.table.all_gather(ranks.all[i], ranks.streams[i], &desc) == FLAGOS_STATUS_OK);
  }
  CHECK(ranks.table.group_end(device.api.instance) == FLAGOS_STATUS_OK);
  for (std::uint32_t i = 0; i < 3; ++i)
    CHECK(device.read(ranks.streams[i], ranks.memory[i] + 512, 3) ==
          std::vector<std::uint32_t>(3, 0x3f800000));
}

TEST_CASE("collective: an operation waits for the report of a kernel before it") {
  TestDevice device;
  Ranks ranks(device, 2);
  const std::uint64_t flag = device.alloc(4, FLAGOS_MEMORY_KIND_PINNED);
  REQUIRE(device.launch(ranks.streams[0], "test_wait_and_fail", flag) == FLAGOS_STATUS_OK);
  std::vector<flagos_status_t> statuses(2);
  std::thread release([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    *reinterpret_cast<volatile std::uint32_t*>(flag) = 1;
  });
  in_threads(2, [&](std::uint32_t i) {
    const auto desc = call_of(FLAGOS_DTYPE_UINT32, ranks.memory[i], ranks.memory[i], 16);
    statuses[i] = ranks.table.all_reduce(ranks.all[i], ranks.streams[i], &desc);
  });
  release.join();
  for (std::uint32_t i = 0; i < 2; ++i) {
    CHECK(statuses[i] == FLAGOS_STATUS_OK);
    CHECK(device.wait(ranks.streams[i]) == FLAGOS_STATUS_OK);
  }
}

TEST_CASE("collective: bad joins have a status and say what to do") {
  TestDevice device;
  const flagos_collective_table_t& table = *device.api.collective;
  flagos_collective_id_t id{};
  flagos_plugin_communicator_t* made = nullptr;
  REQUIRE(table.unique_id_create(device.get(), &id) == FLAGOS_STATUS_OK);
  CHECK(join(device, id, 0, 2, soon_ns, &made) == FLAGOS_STATUS_COMM_TIMEOUT);
  CHECK(device.host.last_error().find("rank 0 of 2: not all ranks have joined within 300 ms") !=
        std::string::npos);
  // The id has served.
  CHECK(join(device, id, 0, 1, soon_ns, &made) == FLAGOS_STATUS_COMM_REFUSED);
  CHECK(device.host.last_error().find("is the id of a communicator that waits") !=
        std::string::npos);
  id.size_bytes = 4;
  CHECK(join(device, id, 0, 1, soon_ns, &made) == FLAGOS_STATUS_COMM_REFUSED);
  REQUIRE(table.unique_id_create(device.get(), &id) == FLAGOS_STATUS_OK);
  flagos_status_t statuses[2] = {};
  in_threads(2, [&](std::uint32_t i) {
    flagos_plugin_communicator_t* one = nullptr;
    statuses[i] = join(device, id, 0, 2, late_ns, &one);
  });
  for (const flagos_status_t status : statuses) CHECK(status == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(device.host.last_error().find("each rank joins once") != std::string::npos);
  const Setting one_each("FLAGOS_FAKE_NCCL_ONE_RANK_PER_DEVICE", "1");
  REQUIRE(table.unique_id_create(device.get(), &id) == FLAGOS_STATUS_OK);
  in_threads(2, [&](std::uint32_t i) {
    flagos_plugin_communicator_t* one = nullptr;
    statuses[i] = join(device, id, i, 2, late_ns, &one);
  });
  for (const flagos_status_t status : statuses) CHECK(status == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(device.host.last_error().find(
            "Duplicate GPU detected; NCCL wants a device for each rank") != std::string::npos);
}

TEST_CASE("collective: abort lets go of a stream that waits for a rank, with its status") {
  TestDevice device;
  Ranks ranks(device, 2);
  const auto desc = call_of(FLAGOS_DTYPE_UINT32, ranks.memory[0], ranks.memory[0], 16);
  REQUIRE(ranks.table.all_reduce(ranks.all[0], ranks.streams[0], &desc) == FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(ranks.streams[0], 20'000'000) == FLAGOS_STATUS_TIMEOUT);
  CHECK(ranks.query(0) == FLAGOS_STATUS_OK);
  CHECK(ranks.table.communicator_abort(ranks.all[0]) == FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(ranks.streams[0], late_ns) == FLAGOS_STATUS_COMM_ABORTED);
  CHECK(ranks.query(0) == FLAGOS_STATUS_COMM_ABORTED);
  CHECK(device.host.last_error() == "rank 0 of 2: the communicator was aborted");
  CHECK(ranks.table.all_reduce(ranks.all[0], ranks.streams[0], &desc) ==
        FLAGOS_STATUS_COMM_ABORTED);
  // The other rank may have got the numbers of this one, and then sees that it is gone.
  const auto other = call_of(FLAGOS_DTYPE_UINT32, ranks.memory[1], ranks.memory[1], 16);
  flagos_status_t found = FLAGOS_STATUS_OK;
  for (int i = 0; i < 2 && found == FLAGOS_STATUS_OK; ++i)
    found = ranks.table.all_reduce(ranks.all[1], ranks.streams[1], &other);
  if (found == FLAGOS_STATUS_OK) found = device.api.stream->synchronize(ranks.streams[1], late_ns);
  CHECK(found == FLAGOS_STATUS_RANK_FAILED);
  CHECK(device.host.last_error().find("a rank was lost: ncclRemoteError (6): rank 0 has closed its "
                                      "connection") != std::string::npos);
}

TEST_CASE("collective: an operation that gets nowhere ends after the communicator's time") {
  TestDevice device;
  Ranks ranks(device, 2, soon_ns);
  const auto desc = call_of(FLAGOS_DTYPE_UINT32, ranks.memory[0], ranks.memory[0], 16);
  REQUIRE(ranks.table.all_reduce(ranks.all[0], ranks.streams[0], &desc) == FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(ranks.streams[0], late_ns) == FLAGOS_STATUS_COMM_TIMEOUT);
  CHECK(device.host.last_error().find("an operation got nowhere for 300 ms") != std::string::npos);
  CHECK(ranks.query(0) == FLAGOS_STATUS_COMM_TIMEOUT);
}

// Joins as rank 1, adds once, and is gone without a word.
[[noreturn]] void be_rank_that_dies(int ids) {
  flagos_collective_id_t id{};
  if (read(ids, &id, sizeof(id)) != static_cast<ssize_t>(sizeof(id))) _exit(2);
  TestDevice device;
  flagos_plugin_communicator_t* communicator = nullptr;
  if (join(device, id, 1, 2, late_ns, &communicator) != FLAGOS_STATUS_OK) _exit(3);
  flagos_plugin_stream_t* const stream = device.stream();
  const std::uint64_t memory = device.alloc(64);
  const auto desc = call_of(FLAGOS_DTYPE_UINT32, memory, memory, 16);
  if (device.api.collective->all_reduce(communicator, stream, &desc) != FLAGOS_STATUS_OK) _exit(4);
  if (device.wait(stream) != FLAGOS_STATUS_OK) _exit(5);
  _exit(0);
}

TEST_CASE("collective: between processes; a rank that died is a status with a sentence, no hang") {
  int pipes[2];
  REQUIRE(pipe(pipes) == 0);
  const pid_t child = fork();
  if (child == 0) be_rank_that_dies(pipes[0]);
  REQUIRE(child > 0);
  TestDevice device;
  flagos_collective_id_t id{};
  REQUIRE(device.api.collective->unique_id_create(device.get(), &id) == FLAGOS_STATUS_OK);
  REQUIRE(::write(pipes[1], &id, sizeof(id)) == static_cast<ssize_t>(sizeof(id)));
  flagos_plugin_communicator_t* communicator = nullptr;
  REQUIRE(join(device, id, 0, 2, late_ns, &communicator) == FLAGOS_STATUS_OK);
  flagos_plugin_stream_t* const stream = device.stream();
  const std::uint64_t memory = device.alloc(64);
  write(device, stream, memory, std::vector<std::uint32_t>(16, 7));
  const auto desc = call_of(FLAGOS_DTYPE_UINT32, memory, memory, 16);
  const flagos_collective_table_t& table = *device.api.collective;
  CHECK(table.all_reduce(communicator, stream, &desc) == FLAGOS_STATUS_OK);
  CHECK(device.read(stream, memory, 16) == std::vector<std::uint32_t>(16, 7));  // the other has 0
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  // The call may find it, or the watch.
  flagos_status_t found = table.all_reduce(communicator, stream, &desc);
  if (found == FLAGOS_STATUS_OK) found = device.api.stream->synchronize(stream, late_ns);
  CHECK(found == FLAGOS_STATUS_RANK_FAILED);
  CHECK(device.host.last_error().find("a rank was lost: ncclRemoteError (6)") != std::string::npos);
  table.communicator_destroy(communicator);
  close(pipes[0]);
  close(pipes[1]);
}

TEST_CASE("collective: without NCCL, or with an old one, there is no group, and a line says why") {
  TestInstance without(Config{{"FLAGOS_NVIDIA_NCCL", "none"}});
  CHECK(without.opened == FLAGOS_STATUS_OK);
  CHECK(without.api.collective == nullptr);
  CHECK(without.host.log().find("no native collectives: FLAGOS_NVIDIA_NCCL is 'none'") !=
        std::string::npos);
  TestInstance missing(Config{{"FLAGOS_NVIDIA_NCCL", "/nowhere/libnccl.so.2"}});
  CHECK(missing.opened == FLAGOS_STATUS_NOT_FOUND);
  CHECK(missing.host.last_error().find("is no NCCL that can be used") != std::string::npos);
}

}  // namespace
}  // namespace flagos::nvidia::test
