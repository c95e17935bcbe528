// The wire of collectives: what a stranger says at the door, what a server says to a rank, what a rank says to a server, and
// frames between two ranks. Any bytes are refused with a status, or are entries within their bounds.
#include <atomic>
#include <thread>

#include <sys/socket.h>
#include <unistd.h>

#include "base/error.hpp"
#include "comm/bootstrap/rendezvous.hpp"
#include "comm/transport/tcp.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace flagos::fuzz {
namespace {

using namespace flagos::comm;

constexpr std::uint64_t patience_ns = 200'000'000;
const Secret secret{1, 2, 3};

struct Pair {
  int near, far;
  Pair() {
    int ends[2];
    demand(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0,
           "a pair of sockets can be made");
    near = ends[0];
    far = ends[1];
  }
};

void say(int fd, std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
}

// Takes entries as a rank does, until the connection is over.
void take_entries(Segment& stand_in) {
  Ring& ring = stand_in.ring(0);
  SegmentHead& head = stand_in.head();
  for (std::uint32_t read = 0;;) {
    const bool over = head.stopped.load(std::memory_order_acquire) != 0;
    const Entry& entry = ring.entries[read % Ring::entry_count];
    if (entry.stamp.load(std::memory_order_acquire) != read + 1) {
      if (over) return;
      std::this_thread::yield();
      continue;
    }
    demand(entry.place != Place::pointer, "nothing from the wire is an address");
    const std::byte* data = entry.data.data();
    if (entry.place == Place::inside) {
      demand(entry.bytes <= inside_bytes, "bytes within an entry fit");
    } else {
      data = stand_in.at(entry.where, entry.bytes);
      demand(data != nullptr, "bytes in a slot lie in the slots");
    }
    std::uint8_t sum = 0;
    for (std::uint64_t i = 0; i < entry.bytes; ++i)
      sum = static_cast<std::uint8_t>(sum + static_cast<std::uint8_t>(data[i]));
    static volatile std::uint8_t sink;
    sink = sum;
    ring.consumed.store(++read, std::memory_order_release);
  }
}

void frames(Bytes& bytes) {
  const Pair pair;
  const std::shared_ptr<Segment> segment = Segment::create(0, 2);
  TcpTransport transport(0, 2, segment);
  const std::shared_ptr<Segment> stand_in = transport.add(1, Socket(pair.near));
  transport.start();
  std::thread speaker([&] {
    say(pair.far, bytes.take(bytes.size()));
    shutdown(pair.far, SHUT_WR);
  });
  take_entries(*stand_in);
  speaker.join();
  const Failure& failure = stand_in->head().failure;
  if (failure.state.load(std::memory_order_acquire) == Failure::set)
    demand(std::memchr(failure.text.data(), '\0', failure.text.size()) != nullptr,
           "the text of a failure ends");
  close(pair.far);
}

// A listener, and a connection to it.
struct Line {
  Address address = Address::of_interface("");
  Socket listener = Socket::listen(address);
  Socket caller = Socket::connect(address, Deadline(patience_ns));
};

void stranger(Bytes& bytes) {
  Line line;
  Door door(line.listener, secret);
  say(line.caller.fd(), bytes.take(bytes.size()));
  shutdown(line.caller.fd(), SHUT_WR);
  door.wait(0, {});
  door.wait(0, {});
  demand(door.take_members().empty(), "nobody comes in without the secret");
}

// A rank that knows the secret says anything to the server.
void member(Bytes& bytes) {
  Line line;
  std::thread server([&] {
    try {
      Rendezvous::serve(line.listener, secret, patience_ns);
    } catch (const Error&) {
    }
  });
  try {
    Greeting greeting;
    greeting.rank = bytes.below(3);
    greeting.size = bytes.below(4);
    greeting.timeout_ns = patience_ns;
    greet(line.caller, secret, greeting, Deadline(patience_ns));
    say(line.caller.fd(), bytes.take(bytes.size()));
  } catch (const Error&) {
  }
  shutdown(line.caller.fd(), SHUT_WR);
  server.join();
}

// A server that knows the secret says anything to a rank.
void server(Bytes& bytes) {
  Address address = Address::of_interface("");
  Socket listener = Socket::listen(address);
  std::atomic<bool> is_over{false};
  std::thread speaker([&] {
    Door door(listener, secret);
    while (!is_over) {
      door.wait(10, {});
      for (const auto& guest : door.take_members()) {
        say(guest->socket.fd(), bytes.take(bytes.size()));
        return;
      }
    }
  });
  Invitation invitation;
  invitation.secret = secret;
  invitation.address = address;
  try {
    Membership membership(invitation, 0, 2, patience_ns);
    demand(membership.exchange(RankCard{}).size() == 2, "there is a card for each rank");
    membership.confirm(FLAGOS_STATUS_OK, "");
  } catch (const Error& error) {
    demand(error.status() != FLAGOS_STATUS_OK, "a failure has a status");
  }
  is_over = true;
  speaker.join();
}

void invitation(Bytes& bytes) {
  flagos_comm_unique_id_t id{};
  const auto taken = bytes.take(sizeof(id.bytes));
  std::memcpy(id.bytes, taken.data(), taken.size());
  try {
    const Invitation read = Invitation::read(id);
    demand(!read.address.text().empty(), "an address has a text");
  } catch (const Error&) {
  }
}

std::string frame(std::uint32_t kind, std::uint64_t size, std::size_t follow) {
  struct {
    std::uint32_t magic = 0x6d617266, kind;
    std::uint64_t size;
    Header header;
  } const head{0x6d617266, kind, size, {}};
  return bytes_of(head) + std::string(follow, 'x');
}

}  // namespace

std::vector<std::string> seeds() {
  const std::string small = frame(0, 10, 10), large = frame(0, 200, 200), empty = frame(0, 0, 0);
  const std::string goodbye = frame(2, 512, 512), failure = frame(1, 512, 512);
  Greeting greeting;
  greeting.size = 2;
  Invitation made;
  const std::string id = bytes_of(made.write());
  const std::string word = bytes_of(std::uint64_t{0});
  std::vector<std::string> all = {'\0' + small + large + goodbye,
                                  '\0' + empty + failure,
                                  '\0' + frame(0, 1u << 20, 64),
                                  '\0' + large.substr(0, 70),
                                  '\x01' + bytes_of(greeting),
                                  std::string("\x02\x00\x01", 3) + bytes_of(RankCard{}),
                                  '\x03' + bytes_of(std::uint32_t{0}) +
                                      bytes_of(std::uint32_t{2 * sizeof(RankCard)}) +
                                      std::string(2 * sizeof(RankCard), '\0'),
                                  '\x03' + bytes_of(std::uint32_t{0x05000001}) +
                                      bytes_of(std::uint32_t{512}) + std::string(512, 'e'),
                                  '\x04' + id};
  return all;
}

}  // namespace flagos::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flagos::fuzz;
  Bytes bytes(data, size);
  // Frames are what most bytes on the wire are.
  switch (bytes.below(8)) {
    case 1:
      stranger(bytes);
      break;
    case 2:
      member(bytes);
      break;
    case 3:
      server(bytes);
      break;
    case 4:
      invitation(bytes);
      break;
    default:
      frames(bytes);
      break;
  }
  return 0;
}
