#include "comm/operation.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/error.hpp"

namespace flagos::comm {
namespace {

// Elements of a side of an operation, from its first byte on; `equal` where all blocks are.
std::uint64_t extent(const std::vector<std::uint64_t>& counts,
                     const std::vector<std::uint64_t>& offsets, std::uint64_t equal) {
  std::uint64_t end = counts.empty() ? equal : 0;
  for (std::size_t i = 0; i < counts.size(); ++i)
    if (counts[i] != 0) end = std::max(end, offsets[i] + counts[i]);
  return end;
}

bool has_blocks(Kind kind) {
  return kind == Kind::reduce_scatter || kind == Kind::all_gather || kind == Kind::gather ||
         kind == Kind::scatter || kind == Kind::all_to_all;
}

void check_root(const Request& request, std::uint32_t size) {
  const bool rooted = request.kind == Kind::reduce || request.kind == Kind::broadcast ||
                      request.kind == Kind::gather || request.kind == Kind::scatter;
  if (rooted && request.root >= size)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{}: root {} of {} ranks", name_of(request.kind),
                request.root, size);
}

void check_types(const Request& request) {
  if (request.kind == Kind::barrier || request.kind == Kind::exchange) return;
  if (dtype_bytes(request.dtype) == 0)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{}: 0x{:08x} is {}", name_of(request.kind),
                request.dtype, dtype_name(request.dtype));
}

// Offsets of blocks that lie one behind the other.
void fill(const Request& request, const std::vector<std::uint64_t>& counts,
          std::vector<std::uint64_t>& offsets) {
  if (!offsets.empty()) return;
  std::uint64_t end = 0;
  for (const std::uint64_t count : counts) {
    offsets.push_back(end);
    if (count > std::numeric_limits<std::uint64_t>::max() - end)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{}: the blocks are more than 2^64 elements",
                  name_of(request.kind));
    end += count;
  }
}

void check_count(const Request& request, std::uint32_t size) {
  if (request.kind == Kind::barrier) return;
  const std::uint64_t blocks = has_blocks(request.kind) ? size : 1;
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max() / dtype_bytes(request.dtype);
  if (request.count > most / blocks)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{}: {} elements{} are more than 2^64 bytes",
                name_of(request.kind), request.count,
                blocks == 1 ? "" : fmt::format(" of each of {} ranks", blocks));
}

void check_blocks(const Request& request, const std::vector<std::uint64_t>& counts,
                  const std::vector<std::uint64_t>& offsets, const char* side) {
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max() / dtype_bytes(request.dtype);
  for (std::size_t i = 0; i < counts.size(); ++i)
    if (counts[i] > most || offsets[i] > most - counts[i])
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                  "{}: block {} of the {}, {} elements at {}, ends past 2^64 bytes",
                  name_of(request.kind), i, side, counts[i], offsets[i]);
}

}  // namespace

void used_ranges(const Request& r, std::uint32_t rank, std::uint32_t size, Range& source,
                 Range& target) {
  const std::uint64_t width = dtype_bytes(r.dtype);
  const std::uint64_t all_sources = extent(r.source_counts, r.source_offsets, size * r.count);
  const std::uint64_t all_targets = extent(r.target_counts, r.target_offsets, size * r.count);
  const bool is_root = r.root == rank;
  source = {r.source, r.count * width};
  target = {r.target, r.count * width};
  switch (r.kind) {
    case Kind::reduce:
      if (!is_root) target = {};
      break;
    case Kind::exclusive_scan:
    case Kind::scan:
    case Kind::all_reduce:
      break;
    case Kind::broadcast:
      target = {};
      break;
    case Kind::reduce_scatter:
      source.bytes = all_sources * width;
      target.bytes = r.source_count(rank) * width;
      break;
    case Kind::all_gather:
    case Kind::gather:
      source.bytes = r.target_count(rank) * width;
      target.bytes = all_targets * width;
      if (r.kind == Kind::gather && !is_root) target = {};
      break;
    case Kind::scatter:
      source.bytes = all_sources * width;
      target.bytes = r.source_count(rank) * width;
      if (!is_root) source = {};
      break;
    case Kind::all_to_all:
      source.bytes = all_sources * width;
      target.bytes = all_targets * width;
      break;
    default:
      source = target = {};
      break;
  }
}

namespace {

// The place at which source and target may be one.
bool is_in_place(const Request& r, std::uint32_t rank) {
  const std::uint64_t width = dtype_bytes(r.dtype);
  switch (r.kind) {
    case Kind::all_reduce:
    case Kind::reduce:
    case Kind::scan:
    case Kind::exclusive_scan:
      return r.source == r.target;
    case Kind::reduce_scatter:
    case Kind::scatter:
      return r.target == r.source + r.source_offset(rank) * width;
    case Kind::all_gather:
    case Kind::gather:
      return r.source == r.target + r.target_offset(rank) * width;
    case Kind::all_to_all:
      return r.source == r.target && !r.has_counts;
    default:
      return false;
  }
}

void check_ranges(const Request& r, std::uint32_t rank, std::uint32_t size) {
  Range source, target;
  used_ranges(r, rank, size, source, target);
  for (const auto& [range, side] : {std::pair(source, "source"), std::pair(target, "target")}) {
    if (range.bytes == 0) continue;
    if (range.start == 0)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{}: {} is 0 and has {} bytes", name_of(r.kind),
                  side, range.bytes);
    if (range.bytes > std::numeric_limits<std::uint64_t>::max() - range.start)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{}: {} of {} bytes at {} wraps around",
                  name_of(r.kind), side, range.bytes, range.start);
  }
  if (source.bytes == 0 || target.bytes == 0 || is_in_place(r, rank)) return;
  if (source.start < target.start + target.bytes && target.start < source.start + source.bytes)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "{}: source ({} bytes at 0x{:x}) and target ({} bytes at 0x{:x}) overlap and are "
                "not in place",
                name_of(r.kind), source.bytes, source.start, target.bytes, target.start);
}

void check_messages(const Request& request, std::uint32_t size) {
  for (const Message& message : request.messages) {
    const char* const what = message.is_send ? "send" : "receive";
    if (message.peer >= size)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{}: peer {} of {} ranks", what, message.peer,
                  size);
    const std::uint64_t width = dtype_bytes(message.dtype);
    if (width == 0)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{}: 0x{:08x} is {}", what, message.dtype,
                  dtype_name(message.dtype));
    if (message.count > (std::numeric_limits<std::uint64_t>::max() - message.address) / width)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{}: {} elements at {} wrap around", what,
                  message.count, message.address);
    if (message.count != 0 && message.address == 0)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{}: the address is 0 and there are {} elements",
                  what, message.count);
  }
}

}  // namespace

const char* name_of(Kind kind) {
  static constexpr const char* names[] = {
      "nothing",          "all_reduce", "reduce", "reduce_scatter", "scan",       "exclusive_scan",
      "broadcast",        "all_gather", "gather", "scatter",        "all_to_all", "barrier",
      "send and receive", "put",        "get",    "signal",         "wait_signal"};
  const auto index = static_cast<std::size_t>(kind);
  return index < std::size(names) ? names[index] : "an unknown operation";
}

std::string describe(const Operation& operation) {
  if (operation.request.kind == Kind::exchange) {
    if (operation.request.messages.empty()) return "an empty group";
    const Message& first = operation.request.messages.front();
    if (operation.request.messages.size() == 1)
      return fmt::format("{} rank {}", first.is_send ? "send to" : "receive from", first.peer);
    return fmt::format("a group of {} sends and receives", operation.request.messages.size());
  }
  if (is_one_sided(operation.request.kind))
    return fmt::format("{} with rank {}", name_of(operation.request.kind), operation.request.root);
  return fmt::format("{} #{}", name_of(operation.request.kind), operation.sequence);
}

void check_messages_to_self(const Request& request, std::uint32_t rank) {
  std::vector<const Message*> sends, receives;
  for (const Message& message : request.messages)
    if (message.peer == rank) (message.is_send ? sends : receives).push_back(&message);
  if (sends.size() != receives.size())
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "rank {} sends {} messages to itself and receives {} in one group", rank,
                sends.size(), receives.size());
  for (std::size_t i = 0; i < sends.size(); ++i)
    if (sends[i]->count != receives[i]->count || sends[i]->dtype != receives[i]->dtype)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                  "rank {} sends {} {} to itself and receives {} {}", rank, sends[i]->count,
                  dtype_name(sends[i]->dtype), receives[i]->count, dtype_name(receives[i]->dtype));
}

std::uint64_t bytes_of(const Request& request, std::uint32_t size) {
  const auto sum = [](const std::vector<std::uint64_t>& blocks) {
    return std::accumulate(blocks.begin(), blocks.end(), std::uint64_t{0});
  };
  std::uint64_t count = has_blocks(request.kind) ? size * request.count : request.count;
  if (request.has_counts) count = std::max(sum(request.source_counts), sum(request.target_counts));
  std::uint64_t bytes = count * dtype_bytes(request.dtype);
  for (const Message& message : request.messages)
    bytes += message.count * dtype_bytes(message.dtype);
  return bytes;
}

void Request::clear() {
  static_cast<Words&>(*this) = {};
  for (auto* array : {&source_counts, &source_offsets, &target_counts, &target_offsets})
    array->clear();
  messages.clear();
  taking_part.clear();
}

void Request::copy(const Request& other) {
  static_cast<Words&>(*this) = other;
  const auto take = [](auto& to, const auto& from) {
    if (!to.empty() || !from.empty()) to = from;
  };
  take(source_counts, other.source_counts);
  take(source_offsets, other.source_offsets);
  take(target_counts, other.target_counts);
  take(target_offsets, other.target_offsets);
  take(messages, other.messages);
  take(taking_part, other.taking_part);
}

void check_request(Request& request, std::uint32_t rank, std::uint32_t size) {
  check_root(request, size);
  check_types(request);
  if (request.kind == Kind::exchange) return check_messages(request, size);
  if (request.has_counts) {
    fill(request, request.source_counts, request.source_offsets);
    fill(request, request.target_counts, request.target_offsets);
    check_blocks(request, request.source_counts, request.source_offsets, "source");
    check_blocks(request, request.target_counts, request.target_offsets, "target");
  } else {
    check_count(request, size);
  }
  check_ranges(request, rank, size);
}

}  // namespace flagos::comm
