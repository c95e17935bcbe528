#include "comm/native.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

#include "base/guard.hpp"
#include "comm/algorithm.hpp"
#include "comm/bootstrap/secret.hpp"
#include "comm/communicator.hpp"
#include "comm/gather.hpp"

namespace flagos::comm {
namespace {

enum class Wish { never, preferred, measured, always };

Wish configured_wish() {
  const char* const value = secure_getenv("FLAGOS_COMM_NATIVE");
  if (value == nullptr) return Wish::preferred;
  if (std::strcmp(value, "0") == 0) return Wish::never;
  if (std::strcmp(value, "1") == 0) return Wish::always;
  if (std::strcmp(value, "measured") == 0) return Wish::measured;
  throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
              "FLAGOS_COMM_NATIVE is '{}'; there are 0 (never), 1 (wherever it is offered) and "
              "measured (of "
              "those, within a communicator of several plugins, where it is faster)",
              value);
}

std::uint32_t support_of(flagos_device_t* device, flagos_collective_operation_t operation,
                         flagos_dtype_t dtype, flagos_collective_reduction_t reduction) {
  flagos_collective_support_t support{};
  support.struct_size = sizeof(support);
  return flagos_collective_query(device, operation, dtype, reduction, &support) == FLAGOS_STATUS_OK
             ? support.flags
             : 0;
}

// The operation by which a plugin is judged.
std::uint32_t general_support(flagos_device_t* device) {
  return support_of(device, FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE, FLAGOS_DTYPE_FLOAT32,
                    FLAGOS_COLLECTIVE_REDUCTION_SUM);
}

// What ranks tell each other of their devices.
struct Card {
  std::array<char, 64> plugin{};
  std::array<char, 64> driver{};
  std::uint64_t process = 0;
  std::uint32_t support = 0;
  std::uint32_t is_wanted = 0;
};

// The same in all of a process, and in no other.
std::uint64_t own_process() {
  static const std::uint64_t number = [] {
    std::uint64_t made = 0;
    random_bytes(&made, sizeof(made));
    return made;
  }();
  return number;
}

Card card_of(const Communicator& communicator) {
  flagos_device_info_t info{};
  info.struct_size = sizeof(info);
  expect(flagos_device_get_info(communicator.device(), &info));
  Card card;
  const std::size_t length = std::string_view(info.id).find(':');
  std::memcpy(card.plugin.data(), info.id, std::min(length, card.plugin.size() - 1));
  std::memcpy(card.driver.data(), info.driver_version, card.driver.size());
  card.process = own_process();
  card.support = general_support(communicator.device());
  card.is_wanted =
      Native::is_wanted(communicator.device()) && !communicator.config().deterministic ? 1 : 0;
  return card;
}

// Why the ranks cannot use the plugin's own; "" when they can.
std::string objection(const std::vector<Card>& cards, std::uint32_t rank) {
  for (std::uint32_t i = 0; i < cards.size(); ++i) {
    const Card& card = cards[i];
    if (std::strcmp(card.plugin.data(), cards[rank].plugin.data()) != 0)
      return fmt::format("rank {} is on {}, rank {} on {}", i, card.plugin.data(), rank,
                         cards[rank].plugin.data());
    if (std::strcmp(card.driver.data(), cards[rank].driver.data()) != 0)
      return fmt::format("ranks {} and {} have other versions of the driver", i, rank);
    if (card.is_wanted == 0)
      return fmt::format("rank {} does not want or have collectives of {}", i, card.plugin.data());
    if ((card.support & FLAGOS_COLLECTIVE_SUPPORT_FLAG_QUEUES_ONLY) != 0) continue;
    for (std::uint32_t k = 0; k < i; ++k)
      if (cards[k].process == card.process)
        return fmt::format(
            "ranks {} and {} are in one process, where calls of {} may wait for "
            "each other",
            k, i, card.plugin.data());
  }
  return {};
}

flagos_communicator_t* join(const Communicator& communicator, const flagos_collective_id_t& id,
                            std::uint32_t rank, std::size_t size) {
  flagos_communicator_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.rank = rank;
  desc.size = static_cast<std::uint32_t>(size);
  desc.id = &id;
  desc.timeout_ns = communicator.config().timeout_ns;
  flagos_communicator_t* made = nullptr;
  expect(flagos_communicator_create(communicator.device(), &desc, &made));
  return made;
}

using Function = flagos_status_t (*)(flagos_communicator_t*, flagos_stream_t*,
                                     const flagos_collective_desc_t*);
struct Row {
  Kind kind;
  flagos_collective_operation_t operation;
  Function function;
  bool reduces;
};
constexpr std::array<Row, 8> rows = {{
    {Kind::all_reduce, FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE, flagos_collective_all_reduce, true},
    {Kind::reduce, FLAGOS_COLLECTIVE_OPERATION_REDUCE, flagos_collective_reduce, true},
    {Kind::reduce_scatter, FLAGOS_COLLECTIVE_OPERATION_REDUCE_SCATTER,
     flagos_collective_reduce_scatter, true},
    {Kind::broadcast, FLAGOS_COLLECTIVE_OPERATION_BROADCAST, flagos_collective_broadcast, false},
    {Kind::all_gather, FLAGOS_COLLECTIVE_OPERATION_ALL_GATHER, flagos_collective_all_gather, false},
    {Kind::gather, FLAGOS_COLLECTIVE_OPERATION_GATHER, flagos_collective_gather, false},
    {Kind::scatter, FLAGOS_COLLECTIVE_OPERATION_SCATTER, flagos_collective_scatter, false},
    {Kind::all_to_all, FLAGOS_COLLECTIVE_OPERATION_ALL_TO_ALL, flagos_collective_all_to_all, false},
}};

const Row* row_of(Kind kind) {
  for (const Row& row : rows)
    if (row.kind == kind) return &row;
  return nullptr;
}

// ---- clusters inside a communicator

// Whether a rank may be in a cluster with another one.
bool fit(const Card& a, const Card& b) {
  const bool may_wait_for_each_other =
      (a.support & b.support & FLAGOS_COLLECTIVE_SUPPORT_FLAG_QUEUES_ONLY) != 0;
  return a.is_wanted != 0 && b.is_wanted != 0 && a.plugin == b.plugin && a.driver == b.driver &&
         (a.process != b.process || may_wait_for_each_other);
}

std::vector<std::vector<std::uint32_t>> clusters_of(const std::vector<Card>& cards) {
  std::vector<std::vector<std::uint32_t>> clusters;
  for (std::uint32_t rank = 0; rank < cards.size(); ++rank) {
    const auto takes = [&](const std::vector<std::uint32_t>& cluster) {
      return std::all_of(cluster.begin(), cluster.end(),
                         [&](std::uint32_t other) { return fit(cards[other], cards[rank]); });
    };
    const auto found = std::find_if(clusters.begin(), clusters.end(), takes);
    if (found != clusters.end()) {
      found->push_back(rank);
    } else {
      clusters.push_back({rank});
    }
  }
  return clusters;
}

// How joining went, and what the plugin has.
struct Joined {
  flagos_status_t status = FLAGOS_STATUS_OK;
  std::uint16_t broadcasts = 1, is_unasked = 1;
  std::array<std::uint16_t, dtype_count> reductions{};
};

// Core's reductions have the numbers of flagos_comm.h, and the premultiplied sum behind them.
flagos_collective_reduction_t number_of(flagos_comm_reduction_t reduction) {
  return reduction > FLAGOS_COMM_REDUCTION_BIT_XOR ? premultiplied_sum : reduction;
}

bool is_had(std::uint32_t support) {
  constexpr std::uint32_t needed =
      FLAGOS_COLLECTIVE_SUPPORT_FLAG_RUNS | FLAGOS_COLLECTIVE_SUPPORT_FLAG_DEFERRABLE;
  return (support & needed) == needed;
}

Joined what_is_had(flagos_device_t* device) {
  Joined joined;
  joined.broadcasts =
      is_had(support_of(device, FLAGOS_COLLECTIVE_OPERATION_BROADCAST, FLAGOS_DTYPE_UINT8, 0));
  for (std::uint32_t dtype = 0; dtype < dtype_count; ++dtype)
    for (flagos_collective_reduction_t reduction = 0; reduction <= premultiplied_sum; ++reduction)
      if (is_had(
              support_of(device, FLAGOS_COLLECTIVE_OPERATION_REDUCE, dtype_at(dtype), reduction)))
        joined.reductions[dtype] |= static_cast<std::uint16_t>(1U << reduction);
  return joined;
}

// All ranks call; all or none get some.
std::unique_ptr<NativeClusters> make_clusters(Communicator& communicator,
                                              const std::vector<Card>& cards, std::string& reason) {
  auto made = std::make_unique<NativeClusters>();
  made->clusters = clusters_of(cards);
  if (made->clusters.size() == cards.size()) return nullptr;
  const std::uint32_t rank = communicator.rank();
  for (std::uint32_t i = 0; i < made->clusters.size(); ++i) {
    const auto& ranks = made->clusters[i];
    const auto found = std::find(ranks.begin(), ranks.end(), rank);
    if (found == ranks.end()) continue;
    made->own = i;
    made->place = static_cast<std::uint32_t>(found - ranks.begin());
  }
  const auto& own = made->clusters[made->own];
  flagos_device_t* const device = communicator.device();
  flagos_collective_id_t id{};
  if (own.size() > 1 && made->place == 0 &&
      flagos_collective_id_create(device, &id) != FLAGOS_STATUS_OK)
    id.size_bytes = 0;
  const auto ids = gather_from_all(communicator, id);
  Joined joined;
  joined.reductions.fill(0xffff);
  if (own.size() > 1) {
    joined = what_is_had(device);
    joined.status = guard(
        [&] {
          made->native = std::make_unique<Native>(
              device, join(communicator, ids[own.front()], made->place, own.size()),
              cards[rank].plugin.data());
        },
        [&](flagos_status_t, const char* text) { reason += fmt::format("; {}", text); });
  }
  joined.is_unasked = configured_wish() != Wish::always;
  const auto all = gather_from_all(communicator, joined);
  made->broadcasts = made->is_unasked = true;
  made->reductions.fill(0xffff);
  for (const Joined& other : all) {
    if (other.status != FLAGOS_STATUS_OK) return nullptr;
    made->broadcasts &= other.broadcasts != 0;
    made->is_unasked &= other.is_unasked != 0;
    for (std::uint32_t i = 0; i < dtype_count; ++i) made->reductions[i] &= other.reductions[i];
  }
  return made;
}

}  // namespace

// ---- life --------------------------------------------------------------------------------------------------------

bool Native::is_wanted(flagos_device_t* device) {
  const Wish wish = configured_wish();
  if (wish == Wish::never) return false;
  const std::uint32_t support = general_support(device);
  return (support & (wish == Wish::preferred ? FLAGOS_COLLECTIVE_SUPPORT_FLAG_PREFERRED
                                             : FLAGOS_COLLECTIVE_SUPPORT_FLAG_RUNS)) != 0;
}

std::unique_ptr<Native> Native::make(Communicator& communicator, std::string& out_reason,
                                     std::unique_ptr<NativeClusters>& out_clusters) {
  const std::vector<Card> cards = gather_from_all(communicator, card_of(communicator));
  // Each rank comes to an end of its own, but all or none find something.
  out_reason = objection(cards, communicator.rank());
  if (!out_reason.empty()) {
    out_clusters = make_clusters(communicator, cards, out_reason);
    return nullptr;
  }
  flagos_collective_id_t id{};
  if (communicator.rank() == 0 &&
      flagos_collective_id_create(communicator.device(), &id) != FLAGOS_STATUS_OK)
    id.size_bytes = 0;
  id = gather_from_all(communicator, id).front();
  flagos_communicator_t* joined = nullptr;
  const flagos_status_t status =
      guard([&] { joined = join(communicator, id, communicator.rank(), communicator.size()); },
            [&](flagos_status_t, const char* text) { out_reason = text; });
  std::unique_ptr<Native> made;
  if (status == FLAGOS_STATUS_OK)
    made = std::make_unique<Native>(communicator.device(), joined,
                                    cards[communicator.rank()].plugin.data());
  const auto all = gather_from_all(communicator, status);
  for (std::uint32_t i = 0; i < all.size(); ++i) {
    if (all[i] == FLAGOS_STATUS_OK) continue;
    if (out_reason.empty())
      out_reason = fmt::format("rank {} could not join: {}", i, flagos_status_get_name(all[i]));
    return nullptr;
  }
  return made;
}

Native::Native(flagos_device_t* device, flagos_communicator_t* communicator,
               const std::string& plugin)
    : device_(device),
      communicator_(communicator),
      plugin_(plugin),
      takes_host_memory_((general_support(device) & FLAGOS_COLLECTIVE_SUPPORT_FLAG_HOST_MEMORY) !=
                         0) {
  flagos_event_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.flags = FLAGOS_EVENT_FLAG_NO_TIMING;
  expect(flagos_event_create(device, &desc, &done_));
}

Native::~Native() {
  flagos_communicator_destroy(communicator_);
  flagos_event_destroy(done_);
  flagos_memory_pool_destroy(pool_);
  for (const flagos_address_t address : captured_) flagos_memory_free(device_, address);
}

// ---- operations --------------------------------------------------------------------------------------------------

bool Native::has(flagos_collective_operation_t operation, flagos_dtype_t dtype,
                 flagos_comm_reduction_t reduction) const {
  return is_had(support_of(device_, operation, dtype, number_of(reduction)));
}

// What is only moved goes as bytes.
bool Native::takes(const Request& request) const {
  if (request.kind == Kind::exchange)
    return has(FLAGOS_COLLECTIVE_OPERATION_SEND, FLAGOS_DTYPE_UINT8, 0) &&
           has(FLAGOS_COLLECTIVE_OPERATION_RECEIVE, FLAGOS_DTYPE_UINT8, 0);
  const Row* const row = row_of(request.kind);
  if (row == nullptr || request.has_counts) return false;
  return row->reduces ? has(row->operation, request.dtype, request.reduction)
                      : has(row->operation, FLAGOS_DTYPE_UINT8, 0);
}

void Native::queue(const Request& request, const Reduction& reduction, double scale,
                   std::uint32_t rank, std::uint32_t size) {
  std::vector<Loan> loans;
  if (request.kind == Kind::exchange) {
    queue_messages(request, loans);
  } else {
    queue_operation(request, reduction, scale, rank, size, loans);
  }
  settle(request.stream, loans);
  operations_.fetch_add(1, std::memory_order_relaxed);
  flagos_capture_status_t capture = FLAGOS_CAPTURE_STATUS_NONE;
  expect(flagos_stream_get_capture_status(request.stream, &capture, nullptr));
  if (capture == FLAGOS_CAPTURE_STATUS_NONE) expect(flagos_event_record(done_, request.stream));
}

void Native::queue_operation(const Request& request, const Reduction& reduction, double scale,
                             std::uint32_t rank, std::uint32_t size, std::vector<Loan>& loans) {
  const Row& row = *row_of(request.kind);
  Range source, target;
  used_ranges(request, rank, size, source, target);
  const bool is_same = source.start == target.start && source.bytes != 0 && target.bytes != 0;
  flagos_collective_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.dtype = row.reduces ? request.dtype : flagos_dtype_t{FLAGOS_DTYPE_UINT8};
  desc.count = row.reduces ? request.count : request.count * dtype_bytes(request.dtype);
  if (row.reduces) desc.reduction = reduction.kind;
  if (row.reduces && reduction.kind == premultiplied_sum) desc.scale = scale;
  const bool is_rooted = request.kind == Kind::reduce || request.kind == Kind::broadcast ||
                         request.kind == Kind::gather || request.kind == Kind::scatter;
  if (is_rooted) desc.peer = request.root;
  // In place is not for all_to_all.
  const bool must_lend = request.kind == Kind::all_to_all && is_same;
  desc.source = suit(request.stream, request.source, source.bytes, request.kind == Kind::broadcast,
                     must_lend, loans);
  desc.target = request.target;
  if (request.kind == Kind::broadcast) {
    std::swap(desc.source, desc.target);
    desc.source = 0;
  } else if (target.bytes != 0) {
    desc.target = suit(request.stream, request.target, target.bytes, true, false, loans);
  }
  expect(row.function(communicator_, request.stream, &desc));
}

void Native::queue_messages(const Request& request, std::vector<Loan>& loans) {
  std::vector<flagos_collective_desc_t> descs;
  for (const Message& message : request.messages) {
    flagos_collective_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.dtype = FLAGOS_DTYPE_UINT8;
    desc.count = message.count * dtype_bytes(message.dtype);
    desc.peer = message.peer;
    (message.is_send ? desc.source : desc.target) =
        suit(request.stream, message.address, desc.count, !message.is_send, false, loans);
    descs.push_back(desc);
  }
  expect(flagos_collective_group_begin());
  for (std::size_t i = 0; i < descs.size(); ++i) {
    // A failure is the group's, and comes from its end.
    static_cast<void>(request.messages[i].is_send
                          ? flagos_collective_send(communicator_, request.stream, &descs[i])
                          : flagos_collective_receive(communicator_, request.stream, &descs[i]));
  }
  expect(flagos_collective_group_end());
}

// ---- memory that the plugin does not take ------------------------------------------------------------------------

flagos_address_t Native::suit(flagos_stream_t* stream, flagos_address_t address,
                              std::uint64_t bytes, bool is_written, bool always,
                              std::vector<Loan>& loans) {
  if (bytes == 0) return address;
  bool is_suitable = takes_host_memory_;
  if (!is_suitable) {
    flagos_memory_info_t info{};
    info.struct_size = sizeof(info);
    expect(flagos_memory_get_info(device_, address, &info));
    is_suitable = info.kind != FLAGOS_MEMORY_KIND_UNKNOWN;
  }
  if (is_suitable && !always) return address;
  const flagos_address_t lent = lend(stream, bytes);
  loans.push_back({address, lent, bytes, is_written});
  // Also what is only written: parts of it may stay as they are.
  expect(flagos_memory_copy(stream, lent, address, bytes));
  return lent;
}

flagos_address_t Native::lend(flagos_stream_t* stream, std::uint64_t bytes) {
  flagos_capture_status_t capture = FLAGOS_CAPTURE_STATUS_NONE;
  expect(flagos_stream_get_capture_status(stream, &capture, nullptr));
  flagos_address_t lent = 0;
  if (capture != FLAGOS_CAPTURE_STATUS_NONE) {
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    desc.size_bytes = bytes;
    expect(flagos_memory_alloc(device_, &desc, &lent));
    captured_.push_back(lent);
    return lent;
  }
  if (pool_ == nullptr) {
    flagos_memory_pool_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    expect(flagos_memory_pool_create(device_, &desc, &pool_));
  }
  expect(flagos_memory_pool_alloc(pool_, stream, bytes, &lent));
  return lent;
}

void Native::settle(flagos_stream_t* stream, const std::vector<Loan>& loans) {
  for (const Loan& loan : loans) {
    if (loan.is_written) expect(flagos_memory_copy(stream, loan.own, loan.lent, loan.bytes));
    give_back(stream, loan.lent);
  }
}

void Native::give_back(flagos_stream_t* stream, flagos_address_t lent) {
  if (std::find(captured_.begin(), captured_.end(), lent) == captured_.end())
    expect(flagos_memory_pool_free(pool_, stream, lent));
}

// ---- order and ends ----------------------------------------------------------------------------------------------

void Native::hold(flagos_stream_t* stream) {
  if (operations() != 0) expect(flagos_stream_wait_event(stream, done_));
}

flagos_status_t Native::synchronize(std::uint64_t timeout_ns) {
  return flagos_event_synchronize(done_, timeout_ns);
}

flagos_status_t Native::status(std::string& out_text) {
  flagos_status_t found = FLAGOS_STATUS_OK;
  expect(flagos_communicator_query_error(communicator_, &found));
  if (found != FLAGOS_STATUS_OK) out_text = flagos_last_error();
  return found;
}

void Native::abort() {
  if (is_aborted_.exchange(true)) return;
  flagos_communicator_abort(
      communicator_);  // UNSUPPORTED: what waits ends by the plugin's own timeout
}

// ---- clusters ----------------------------------------------------------------------------------------------------

bool NativeClusters::takes(const Request& request, const Reduction& reduction) const {
  const auto* const kind_found = std::find(kinds.begin(), kinds.end(), request.kind);
  if (kind_found == kinds.end()) return false;
  const std::size_t row = static_cast<std::size_t>(kind_found - kinds.begin());
  if (is_unasked && !pays[row][bytes_of(request, 1) > most_small]) return false;
  if (request.kind == Kind::broadcast) return broadcasts;
  if (request.kind == Kind::all_reduce && !broadcasts) return false;
  if (!may_add_partials(reduction)) return false;
  // An average is a sum until the end.
  const std::uint32_t kind = reduction.kind == FLAGOS_COMM_REDUCTION_AVERAGE
                                 ? std::uint32_t{FLAGOS_COMM_REDUCTION_SUM}
                                 : reduction.kind;
  return (reductions[dtype_number(reduction.dtype)] >> kind & 1) != 0;
}

void NativeClusters::representatives(std::uint32_t root, std::vector<std::uint32_t>& out) const {
  out.clear();
  for (const auto& cluster : clusters)
    out.push_back(
        std::find(cluster.begin(), cluster.end(), root) != cluster.end() ? root : cluster.front());
}

std::uint32_t NativeClusters::place_of_representative(std::uint32_t root) const {
  const auto& ranks = clusters[own];
  const auto found = std::find(ranks.begin(), ranks.end(), root);
  return found != ranks.end() ? static_cast<std::uint32_t>(found - ranks.begin()) : 0;
}

std::string NativeClusters::own_ranks() const {
  return fmt::format("ranks {}", fmt::join(clusters[own], ", "));
}

}  // namespace flagos::comm
