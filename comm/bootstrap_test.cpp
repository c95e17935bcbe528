// Joining: who does not belong is refused, who does not come is named, and strangers hold up nobody.
#include <doctest/doctest.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <future>
#include <memory>

#include "comm/testing/world.hpp"

using namespace flagos::comm::testing;

namespace {

using Clock = std::chrono::steady_clock;

struct Joined {
  flagos_status_t status = FLAGOS_STATUS_OK;
  std::string text;
  flagos_comm_t* comm = nullptr;
};

flagos_comm_config_t config_of(std::uint64_t timeout_ms, std::uint32_t flags = 0) {
  flagos_comm_config_t config{};
  config.struct_size = sizeof(config);
  config.flags = flags;
  config.timeout_ns = timeout_ms * 1'000'000;
  return config;
}

// Joins on a thread of its own.
std::future<Joined> join(RankDevice& device, const flagos_comm_unique_id_t& id, std::uint32_t rank,
                         std::uint32_t size, const flagos_comm_config_t& config) {
  return std::async(std::launch::async, [&device, id, rank, size, config] {
    Joined joined;
    joined.status = flagos_comm_create(device.device(), &id, rank, size, &config, &joined.comm);
    if (joined.status != FLAGOS_STATUS_OK) joined.text = flagos_last_error();
    return joined;
  });
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// The port is at a fixed place of the id.
int connect_as_stranger(const flagos_comm_unique_id_t& id) {
  std::uint16_t port = 0;
  std::memcpy(&port, id.bytes + 26, sizeof(port));
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  return fd;
}

}  // namespace

TEST_CASE("joining: ids differ, and hold a secret of their own") {
  flagos_comm_unique_id_t a{}, b{};
  check(flagos_comm_unique_id_create(&a));
  check(flagos_comm_unique_id_create(&b));
  CHECK(std::memcmp(a.bytes + 8, b.bytes + 8, 16) != 0);
}

TEST_CASE(
    "joining: a rank that never comes is named on the others, within the timeout and a second") {
  RankDevice device("cpu");
  flagos_comm_unique_id_t id{};
  check(flagos_comm_unique_id_create(&id));
  const Clock::time_point start = Clock::now();
  auto first = join(device, id, 0, 3, config_of(500));
  auto third = join(device, id, 2, 3, config_of(500));
  for (auto* waiting : {&first, &third}) {
    const Joined joined = waiting->get();
    CHECK(joined.status == FLAGOS_STATUS_COMM_TIMEOUT);
    CHECK_MESSAGE(contains(joined.text, "missing: 1"), joined.text);
    CHECK(joined.comm == nullptr);
  }
  CHECK(Clock::now() - start < std::chrono::milliseconds(1500));
}

TEST_CASE("joining: two ranks of one number, and ranks that disagree on the size or the flags") {
  RankDevice device("cpu");
  const auto both = [&](std::uint32_t rank, std::uint32_t size, std::uint32_t flags,
                        const std::string& part) {
    flagos_comm_unique_id_t id{};
    check(flagos_comm_unique_id_create(&id));
    auto first = join(device, id, 0, 2, config_of(5000));
    auto second = join(device, id, rank, size, config_of(5000, flags));
    for (auto* waiting : {&first, &second}) {
      const Joined joined = waiting->get();
      CHECK(joined.status == FLAGOS_STATUS_INVALID_ARGUMENT);
      CHECK_MESSAGE(contains(joined.text, part), joined.text);
    }
  };
  both(0, 2, 0, "two ranks have the number 0");
  both(1, 3, 0, "ranks, others say");
  both(1, 2, FLAGOS_COMM_FLAG_DETERMINISTIC, "disagree on the flags");
}

TEST_CASE("joining: a wrong secret, garbage and silence are turned away while the ranks join") {
  RankDevice device("cpu");
  flagos_comm_unique_id_t id{};
  check(flagos_comm_unique_id_create(&id));
  std::vector<int> strangers;
  for (int i = 0; i < 40; ++i) {
    strangers.push_back(connect_as_stranger(id));
    std::vector<char> garbage(i * 37);
    std::mt19937_64 random(seed() + i);
    for (char& byte : garbage) byte = static_cast<char>(random());
    static_cast<void>(!write(strangers.back(), garbage.data(), garbage.size()));
  }
  flagos_comm_unique_id_t forged = id;
  forged.bytes[8] ^= 1;
  const Joined refused = join(device, forged, 1, 2, config_of(5000)).get();
  CHECK(refused.status == FLAGOS_STATUS_COMM_REFUSED);
  CHECK_MESSAGE(contains(refused.text, "secret"), refused.text);
  auto first = join(device, id, 0, 2, config_of(5000));
  auto second = join(device, id, 1, 2, config_of(5000));
  const Joined a = first.get(), b = second.get();
  CHECK_MESSAGE(a.status == FLAGOS_STATUS_OK, a.text);
  CHECK_MESSAGE(b.status == FLAGOS_STATUS_OK, b.text);
  for (const int fd : strangers) close(fd);
  // The id has served.
  const Joined late = join(device, id, 1, 2, config_of(1000)).get();
  CHECK(late.status == FLAGOS_STATUS_COMM_REFUSED);
  CHECK(flagos_comm_destroy(a.comm) == FLAGOS_STATUS_OK);
  CHECK(flagos_comm_destroy(b.comm) == FLAGOS_STATUS_OK);
}

TEST_CASE("joining: arguments that are wrong from the start") {
  RankDevice device("cpu");
  flagos_comm_t* comm = nullptr;
  flagos_comm_unique_id_t id{};
  const flagos_comm_config_t config = config_of(1000);
  CHECK(flagos_comm_create(device.device(), &id, 0, 1, &config, &comm) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
  check(flagos_comm_unique_id_create(&id));
  CHECK(flagos_comm_create(device.device(), &id, 2, 2, &config, &comm) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(flagos_comm_create(device.device(), &id, 0, 0, &config, &comm) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(flagos_comm_create(nullptr, &id, 0, 1, &config, &comm) == FLAGOS_STATUS_INVALID_HANDLE);
  CHECK(flagos_comm_create(device.device(), nullptr, 0, 1, &config, &comm) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(flagos_comm_create(device.device(), &id, 0, 1, &config, nullptr) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
  flagos_comm_config_t unknown = config;
  unknown.flags = 64;
  CHECK(flagos_comm_create(device.device(), &id, 0, 1, &unknown, &comm) ==
        FLAGOS_STATUS_UNSUPPORTED);
  unknown = config;
  unknown.struct_size = 8;
  CHECK(flagos_comm_create(device.device(), &id, 0, 1, &unknown, &comm) ==
        FLAGOS_STATUS_INVALID_STRUCT_SIZE);
  CHECK(comm == nullptr);
}

TEST_CASE("joining: without waiting") {
  RankDevice devices[2] = {RankDevice("cpu"),
                           RankDevice("cpu")};  // a stream for each rank: they wait for each other
  flagos_comm_unique_id_t id{};
  check(flagos_comm_unique_id_create(&id));
  const flagos_comm_config_t config = config_of(5000, FLAGOS_COMM_FLAG_NON_BLOCKING);
  flagos_comm_t* comms[2] = {};
  flagos_status_t status = FLAGOS_STATUS_OK;
  check(flagos_comm_create(devices[0].device(), &id, 0, 2, &config, &comms[0]));
  CHECK(flagos_comm_query_status(comms[0], &status) == FLAGOS_STATUS_OK);
  CHECK(status == FLAGOS_STATUS_NOT_READY);
  CHECK(flagos_comm_barrier(comms[0], devices[0].stream()) == FLAGOS_STATUS_NOT_READY);
  check(flagos_comm_create(devices[1].device(), &id, 1, 2, &config, &comms[1]));
  for (flagos_comm_t* comm : comms) {
    status = FLAGOS_STATUS_NOT_READY;
    for (int i = 0; i < 500 && status == FLAGOS_STATUS_NOT_READY; ++i) {
      check(flagos_comm_query_status(comm, &status));
      usleep(10'000);
    }
    CHECK(status == FLAGOS_STATUS_OK);
  }
  for (int i = 0; i < 2; ++i) check(flagos_comm_barrier(comms[i], devices[i].stream()));
  for (RankDevice& device : devices) check(device.synchronize());
  for (flagos_comm_t* comm : comms) CHECK(flagos_comm_destroy(comm) == FLAGOS_STATUS_OK);
}
