#include "comm/create.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "base/guard.hpp"
#include "base/thread.hpp"
#include "comm/gather.hpp"
#include "comm/measure.hpp"

namespace flagos::comm {
namespace {

std::uint64_t default_timeout_ns() {
  constexpr std::uint64_t otherwise = 300'000'000'000;
  const char* const value = secure_getenv("FLAGOS_COMM_TIMEOUT_MS");
  if (value == nullptr) return otherwise;
  std::uint64_t milliseconds = 0;
  const char* const end = value + std::strlen(value);
  const auto [stop, error] = std::from_chars(value, end, milliseconds);
  if (error != std::errc() || stop != end || milliseconds == 0 ||
      milliseconds > UINT64_MAX / 1'000'000)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "FLAGOS_COMM_TIMEOUT_MS is '{}', not a number of milliseconds", value);
  return milliseconds * 1'000'000;
}

// How ranks talk. Tests, and hosts whose processes cannot see each other, use the network within a host.
enum class Transport { automatic, tcp, ucx };
Transport configured_transport() {
  const char* const value = secure_getenv("FLAGOS_COMM_TRANSPORT");
  if (value == nullptr || std::strcmp(value, "shm") == 0) return Transport::automatic;
  if (std::strcmp(value, "tcp") == 0) return Transport::tcp;
  if (std::strcmp(value, "ucx") == 0) return Transport::ucx;
  throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
              "FLAGOS_COMM_TRANSPORT is '{}'; there are shm, tcp and ucx", value);
}

// UCX where it was asked for, and by itself where there is a network that TCP uses badly.
std::unique_ptr<UcxWorker> make_ucx(Transport transport) {
  const bool is_wanted = transport == Transport::ucx;
  if (!is_wanted && (transport == Transport::tcp || !has_fabric())) return nullptr;
  std::string why;
  std::unique_ptr<UcxWorker> worker;
  if (has_ucx(why))
    static_cast<void>(guard([&] { worker = std::make_unique<UcxWorker>(); },
                            [&](flagos_status_t, const char* text) { why = text; }));
  if (worker == nullptr && is_wanted)
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "FLAGOS_COMM_TRANSPORT is ucx: {}", why);
  return worker;
}

// The links as the slowest rank has measured them, and rank 0's wishes.
struct Costs {
  Link local, remote;
  Algorithm forced = Algorithm::automatic;
};

void agree_on_costs(Communicator& communicator, Topology& topology) {
  Communicator* const mine = &communicator;
  measure_links({&mine, 1}, topology);
  Costs own{topology.local, topology.remote, configured_algorithm()};
  const std::vector<Costs> all = gather_from_all(communicator, own);
  const auto slowest = [&](Link Costs::*link) {
    Link result;
    for (const Costs& costs : all) {
      result.latency_s = std::max(result.latency_s, (costs.*link).latency_s);
      result.message_s = std::max(result.message_s, (costs.*link).message_s);
      result.byte_s = std::max(result.byte_s, (costs.*link).byte_s);
    }
    return result;
  };
  topology.local = slowest(&Costs::local);
  topology.remote = slowest(&Costs::remote);
  topology.forced = all.front().forced;
}

// Which host each rank is on.
std::vector<std::uint32_t> hosts_of(const std::vector<RankCard>& cards, bool is_forced) {
  const std::uint32_t pretended = configured_host_ranks();
  std::vector<std::uint32_t> first, hosts;  // the first rank of each host, the host of each rank
  for (std::uint32_t rank = 0; rank < cards.size(); ++rank) {
    const SegmentName& name = cards[rank].segment;
    std::uint32_t host = 0;
    while (host < first.size()) {
      const SegmentName& other = cards[first[host]].segment;
      const bool is_same = pretended != 0 ? first[host] / pretended == rank / pretended
                                          : !is_forced && name.boot == other.boot &&
                                                name.pid_namespace == other.pid_namespace;
      if (is_same) break;
      ++host;
    }
    if (host == first.size()) first.push_back(rank);
    hosts.push_back(host);
  }
  return hosts;
}

// All have proved already that they belong: one that lets nobody in any more has failed.
void reach(Communicator& communicator, std::uint32_t peer, std::uint32_t lane,
           const Address& address, const Secret& secret, const Deadline& deadline) {
  std::string text;
  const flagos_status_t status = guard(
      [&] {
        Socket socket = Socket::connect(address, deadline);
        Greeting greeting;
        greeting.rank = communicator.rank();
        greeting.size = communicator.size();
        greeting.lane = lane;
        greet(socket, secret, greeting, deadline);
        communicator.connect(peer, std::move(socket), lane);
      },
      [&](flagos_status_t, const char* found) { text = found; });
  if (status == FLAGOS_STATUS_COMM_REFUSED)
    throw_error(FLAGOS_STATUS_RANK_FAILED, "rank {} has gone while the ranks met: {}", peer, text);
  if (status != FLAGOS_STATUS_OK) throw Error(status, text);
}

// Connects to the remote ranks below this one, and lets those above in.
void join_remote(Communicator& communicator, const std::vector<RankCard>& cards,
                 const std::vector<std::uint32_t>& remote, Socket& listener, const Secret& secret,
                 const Deadline& deadline) {
  const std::uint32_t rank = communicator.rank();
  std::size_t missing = 0;
  for (const std::uint32_t peer : remote) {
    if (peer > rank) {
      missing += Segment::lanes;
      continue;
    }
    for (std::uint32_t lane = 0; lane < Segment::lanes; ++lane)
      reach(communicator, peer, lane, cards[peer].listener, secret, deadline);
  }
  std::vector<std::uint32_t> has_come(communicator.size(), 0);  // a bit for each lane
  Door door(listener, secret);
  while (missing != 0) {
    if (deadline.has_passed())
      throw_error(FLAGOS_STATUS_COMM_TIMEOUT, "{} connections of ranks to rank {} did not come",
                  missing, rank);
    door.wait(std::min(deadline.left_ms(), 200), {});
    for (auto& guest : door.take_members()) {
      const std::uint32_t peer = guest->greeting.rank;
      const std::uint32_t lane = guest->greeting.lane;
      if (peer <= rank || peer >= communicator.size() || lane >= Segment::lanes ||
          (has_come[peer] & (1U << lane)) != 0)
        continue;
      has_come[peer] |= 1U << lane;
      communicator.connect(peer, std::move(guest->socket), lane);
      --missing;
    }
  }
}

// Reaches all others, once all have told where they are.
void join(Communicator& communicator, const Invitation& invitation) {
  const std::uint32_t rank = communicator.rank();
  const Transport transport = configured_transport();
  std::unique_ptr<UcxWorker> ucx = make_ucx(transport);
  Membership membership(invitation, rank, communicator.size(), communicator.config().timeout_ns);
  RankCard card;
  card.segment = communicator.segment()->name();
  card.flags = communicator.config().deterministic ? FLAGOS_COMM_FLAG_DETERMINISTIC : 0;
  card.listener = membership.local_address();
  card.has_ucx = ucx != nullptr;
  Communicator::Reunion reunion;
  reunion.secret = invitation.secret;
  reunion.listener = std::make_shared<Socket>(Socket::listen(card.listener));
  const std::vector<RankCard> cards = membership.exchange(card);
  for (const RankCard& other : cards) reunion.addresses.push_back(other.listener);
  std::string text;
  Topology topology;
  const flagos_status_t status = guard(
      [&] {
        const std::vector<std::uint32_t> hosts = hosts_of(cards, transport != Transport::automatic);
        topology = Topology::of_hosts(rank, hosts);
        std::vector<std::uint32_t> remote;
        for (std::uint32_t peer = 0; peer < communicator.size(); ++peer) {
          if (peer == rank) continue;
          if (hosts[peer] == hosts[rank]) {
            communicator.connect(peer,
                                 Segment::open(cards[peer].segment, peer, communicator.size()));
          } else {
            remote.push_back(peer);
          }
        }
        if (!remote.empty() && std::all_of(cards.begin(), cards.end(), [](const RankCard& other) {
              return other.has_ucx != 0;
            }))
          communicator.use(std::move(ucx));
        static constexpr std::uint8_t label[] = "network";
        join_remote(communicator, cards, remote, *reunion.listener,
                    derive(invitation.secret, label), membership.deadline());
      },
      [&](flagos_status_t, const char* found) { text = found; });
  membership.confirm(status, text);
  communicator.set_reunion(std::move(reunion));
  communicator.start();
  agree_on_costs(communicator, topology);
  communicator.place(std::move(topology));
  communicator.make_native();
  communicator.open();
}

// What ranks of one process cost each other; the same for all communicators of it whose devices the host reaches, and for all
// others.
void measure_process(const std::vector<std::shared_ptr<Communicator>>& made, Topology& topology) {
  struct Measured {
    Link local, remote;
  };
  static std::mutex mutex;
  static Measured of_reached, of_others;
  const bool all_reached = std::all_of(made.begin(), made.end(), [](const auto& communicator) {
    return has_host_addresses(communicator->device());
  });
  auto& [local, remote] = all_reached ? of_reached : of_others;
  std::lock_guard lock(mutex);
  if (local.latency_s == 0 || (remote.latency_s == 0 && topology.clusters.size() > 1)) {
    std::vector<Communicator*> all;
    for (const auto& communicator : made) all.push_back(communicator.get());
    measure_links(all, topology);
    local = topology.local;
    remote = topology.remote;
  }
  topology.local = local;
  topology.remote = remote;
}

// Ranks of one process wait for each other: each has a thread.
void make_native(const std::vector<std::shared_ptr<Communicator>>& made) {
  if (std::none_of(made.begin(), made.end(), [](const auto& communicator) {
        return Native::is_wanted(communicator->device());
      }))
    return;
  std::vector<std::thread> threads;
  for (const auto& communicator : made)
    threads.push_back(start_thread("flagos-native", {}, [self = communicator.get()] {
      static_cast<void>(
          guard([&] { self->make_native(); },
                [&](flagos_status_t status, const char* text) { self->fail(status, text); }));
    }));
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

std::string configured_interface() {
  const char* const value = secure_getenv("FLAGOS_COMM_INTERFACE");
  return value != nullptr ? value : "";
}

Config read_config(const flagos_comm_config_t* config) {
  Config result;
  if (config != nullptr) {
    if (config->struct_size < sizeof(*config))
      throw_error(FLAGOS_STATUS_INVALID_STRUCT_SIZE,
                  "flagos_comm_config_t: struct_size is {}, at least {} is needed",
                  config->struct_size, sizeof(*config));
    const auto* const tail = reinterpret_cast<const unsigned char*>(config);
    for (std::size_t i = sizeof(*config); i < config->struct_size; ++i)
      if (tail[i] != 0)
        throw_error(FLAGOS_STATUS_UNSUPPORTED,
                    "flagos_comm_config_t: byte {} of a newer version is not 0", i);
    constexpr std::uint32_t known = FLAGOS_COMM_FLAG_DETERMINISTIC | FLAGOS_COMM_FLAG_NON_BLOCKING;
    if ((config->flags & ~known) != 0)
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "flagos_comm_config_t: unknown flags 0x{:x}",
                  config->flags & ~known);
    for (const flagos_extension_t* next = config->next; next != nullptr; next = next->next)
      if ((next->type & FLAGOS_EXTENSION_IGNORABLE) == 0)
        throw_error(FLAGOS_STATUS_UNSUPPORTED,
                    "flagos_comm_config_t: unknown chained struct 0x{:x}", next->type);
    result.timeout_ns = config->timeout_ns;
    result.deterministic = (config->flags & FLAGOS_COMM_FLAG_DETERMINISTIC) != 0;
    result.non_blocking = (config->flags & FLAGOS_COMM_FLAG_NON_BLOCKING) != 0;
  }
  if (result.timeout_ns == 0) result.timeout_ns = default_timeout_ns();
  return result;
}

std::vector<std::shared_ptr<Communicator>> create_all(std::span<flagos_device_t* const> devices,
                                                      const Config& config) {
  const auto size = static_cast<std::uint32_t>(devices.size());
  std::vector<std::shared_ptr<Communicator>> made;
  for (std::uint32_t rank = 0; rank < size; ++rank)
    made.push_back(std::make_shared<Communicator>(devices[rank], rank, size, config));
  for (std::uint32_t rank = 0; rank < size; ++rank)
    for (std::uint32_t peer = 0; peer < size; ++peer)
      if (peer != rank) made[rank]->connect(peer, made[peer]->segment());
  Communicator::Reunion reunion;
  random_bytes(reunion.secret.data(), reunion.secret.size());
  std::vector<std::shared_ptr<Socket>> listeners;
  for (std::uint32_t rank = 0; rank < size; ++rank) {
    reunion.addresses.push_back(Address::of_interface(""));
    listeners.push_back(std::make_shared<Socket>(Socket::listen(reunion.addresses.back())));
  }
  for (std::uint32_t rank = 0; rank < size; ++rank) {
    reunion.listener = listeners[rank];
    made[rank]->set_reunion(reunion);
    made[rank]->start();
  }
  std::vector<std::uint32_t> hosts(size, 0);
  if (const std::uint32_t pretended = configured_host_ranks(); pretended != 0)
    for (std::uint32_t rank = 0; rank < size; ++rank) hosts[rank] = rank / pretended;
  Topology topology = Topology::of_hosts(0, hosts);
  topology.forced = configured_algorithm();
  measure_process(made, topology);
  for (topology.rank = 0; topology.rank < size; ++topology.rank)
    made[topology.rank]->place(topology);
  make_native(made);
  for (const auto& communicator : made) communicator->open();
  return made;
}

std::shared_ptr<Communicator> create(flagos_device_t* device, const Invitation& invitation,
                                     std::uint32_t rank, std::uint32_t size, const Config& config) {
  if (size == 0 || rank >= size)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "rank {} of {} ranks", rank, size);
  auto communicator = std::make_shared<Communicator>(device, rank, size, config);
  if (!config.non_blocking) {
    join(*communicator, invitation);
  } else {
    communicator->make_later([self = communicator.get(), invitation] { join(*self, invitation); });
  }
  return communicator;
}

namespace {

struct Vote {
  std::int32_t color = 0;
  std::int32_t key = 0;
};

}  // namespace

std::shared_ptr<Communicator> split(Communicator& parent, std::int32_t color, std::int32_t key,
                                    const Config& config) {
  const std::vector<Vote> votes = gather_from_all(parent, Vote{color, key});
  std::vector<std::uint32_t> members;
  for (std::uint32_t rank = 0; rank < parent.size(); ++rank)
    if (votes[rank].color == color) members.push_back(rank);
  std::stable_sort(members.begin(), members.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return votes[a].key < votes[b].key; });
  const bool is_first = color != FLAGOS_COMM_COLOR_NONE && members.front() == parent.rank();
  Invitation mine;
  if (is_first) mine = Rendezvous::open(configured_interface(), config.timeout_ns);
  const std::vector<Invitation> invitations = gather_from_all(parent, mine);
  if (color == FLAGOS_COMM_COLOR_NONE) return nullptr;
  const auto place = std::find(members.begin(), members.end(), parent.rank());
  return create(parent.device(), invitations[members.front()],
                static_cast<std::uint32_t>(place - members.begin()),
                static_cast<std::uint32_t>(members.size()), config);
}

std::shared_ptr<Communicator> shrink(Communicator& parent, std::span<const std::uint32_t> excluded,
                                     const Config& config) {
  std::vector<std::uint8_t> is_member(parent.size(), 1);
  for (const std::uint32_t rank : excluded) {
    if (rank >= parent.size() || rank == parent.rank())
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "rank {} of {} cannot be excluded by rank {}",
                  rank, parent.size(), parent.rank());
    is_member[rank] = 0;
  }
  parent.abort(excluded.empty() ? fmt::format("rank {} shrinks the communicator", parent.rank())
                                : fmt::format("rank {} goes on without rank {}", parent.rank(),
                                              fmt::join(excluded, ", ")));
  const Communicator::Reunion& reunion = parent.reunion();
  std::uint32_t first = parent.size(), rank = 0, size = 0;
  for (std::uint32_t i = 0; i < parent.size(); ++i) {
    if (is_member[i] == 0) continue;
    first = std::min(first, i);
    if (i < parent.rank()) ++rank;
    ++size;
  }
  // Who excludes other ranks has another secret, and is refused.
  Invitation invitation;
  invitation.secret = derive(reunion.secret, is_member);
  invitation.address = reunion.addresses[first];
  std::thread server;
  if (first == parent.rank())
    server =
        start_thread("flagos-comm-join", {}, [listener = reunion.listener, invitation, config] {
          static_cast<void>(
              guard([&] { Rendezvous::serve(*listener, invitation.secret, config.timeout_ns); },
                    [](flagos_status_t, const char*) {}));
        });
  std::shared_ptr<Communicator> made;
  std::string text;
  Config blocking = config;
  blocking.non_blocking = false;  // the server of the first rank lives as long as this call
  const flagos_status_t status =
      guard([&] { made = create(parent.device(), invitation, rank, size, blocking); },
            [&](flagos_status_t, const char* found) { text = found; });
  if (server.joinable()) server.join();
  if (status != FLAGOS_STATUS_OK) throw Error(status, text);
  return made;
}

}  // namespace flagos::comm
