// The wire: what comes from a socket is a whole frame, or ends the connection; never anything else.
#include <doctest/doctest.h>

#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "comm/testing/world.hpp"
#include "comm/transport/tcp.hpp"

using namespace flagos::comm;

namespace {

constexpr std::size_t frame_bytes = 64;

// Rank 0 with a network to rank 1, whose end of the connection the test holds.
class Wire {
 public:
  Wire() : segment(Segment::create(0, 2)), transport(0, 2, segment) {
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    far_end = ends[1];
    stand_in = transport.add(1, Socket(ends[0]));
    transport.start();
  }
  ~Wire() { close(far_end); }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  void write_bytes(const std::vector<std::byte>& bytes) {
    static_cast<void>(!::send(far_end, bytes.data(), bytes.size(), MSG_NOSIGNAL));
  }
  bool has_failed() {
    return stand_in->head().failure.state.load(std::memory_order_acquire) == Failure::set;
  }
  template <typename Condition>
  bool comes_true(Condition&& condition) {
    for (int i = 0; i < 1000; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return false;
  }

  std::shared_ptr<Segment> segment, stand_in;
  TcpTransport transport;
  int far_end = -1;
};

std::vector<std::byte> frame(std::uint32_t magic, std::uint32_t kind, std::uint64_t bytes,
                             std::size_t follow) {
  std::vector<std::byte> result(frame_bytes + follow, std::byte{7});
  std::memcpy(result.data(), &magic, 4);
  std::memcpy(result.data() + 4, &kind, 4);
  std::memcpy(result.data() + 8, &bytes, 8);
  return result;
}
constexpr std::uint32_t magic = 0x6d617266;

}  // namespace

TEST_CASE("wire: a frame becomes an entry, also when its bytes come one by one") {
  Wire wire;
  for (const std::byte byte : frame(magic, 0, 10, 10)) wire.write_bytes({byte});
  const Entry& entry = wire.stand_in->ring(0).entries[0];
  REQUIRE(wire.comes_true([&] { return entry.stamp.load(std::memory_order_acquire) == 1; }));
  CHECK(entry.bytes == 10);
  CHECK(entry.place == Place::inside);
  CHECK(entry.data[9] == std::byte{7});
  CHECK_FALSE(wire.has_failed());
}

TEST_CASE(
    "wire: an oversized length, a wrong start and an end in the middle end the connection, with a "
    "text") {
  const auto fails = [](const std::vector<std::byte>& bytes, bool closes) {
    Wire wire;
    wire.write_bytes(bytes);
    if (closes) shutdown(wire.far_end, SHUT_WR);
    CHECK(wire.comes_true([&] { return wire.has_failed(); }));
    CHECK(std::string(wire.stand_in->head().failure.text.data()).find("rank 1") !=
          std::string::npos);
    CHECK(wire.stand_in->ring(0).entries[0].stamp.load() == 0);
  };
  fails(frame(magic, 0, std::uint64_t{1} << 40, 0), false);
  fails(frame(magic, 0, Segment::slot_bytes + 1, 0), false);
  fails(frame(magic + 1, 0, 8, 8), false);
  fails(frame(magic, 0, 8, 3), true);
  fails({std::byte{1}}, true);
}

TEST_CASE("wire: random bytes, and frames with random changes, do no harm") {
  std::mt19937_64 random(flagos::comm::testing::seed());
  for (int round = 0; round < 200; ++round) {
    Wire wire;
    std::vector<std::byte> bytes;
    for (std::uint64_t i = random() % 6; i > 0; --i) {
      const std::uint64_t size = random() % 600;
      const auto part = frame(magic, static_cast<std::uint32_t>(random() % 4), size, size);
      bytes.insert(bytes.end(), part.begin(), part.end());
    }
    for (std::uint64_t i = random() % 4; i > 0 && !bytes.empty(); --i)
      bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    for (std::uint64_t i = random() % 100; i > 0; --i)
      bytes.push_back(static_cast<std::byte>(random()));
    wire.write_bytes(bytes);
    shutdown(wire.far_end, SHUT_WR);
    const SegmentHead& head = wire.stand_in->head();
    // It ends with a goodbye, with a failure of the other side, or with one that we saw.
    CHECK(wire.comes_true(
        [&] { return wire.has_failed() || head.closed.load(std::memory_order_acquire) != 0; }));
  }
}
