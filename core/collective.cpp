#include "core/collective.hpp"

#include <algorithm>
#include <array>

#include "core/entry.hpp"
#include "core/stream.hpp"
#include "core/tensor.hpp"
#include "core/validation.hpp"

namespace flagos::core {

namespace {

// ---- what the operations are -------------------------------------------------------------------------------------

enum class Buffer { none, one, all, all_on_root, one_on_root };  // blocks of `count` elements
enum class InPlace { never, same, block_of_source, block_of_target };

struct Row {
  const char* name;
  flagos_collective_function_t flagos_collective_table_t::*slot;
  bool reduces;
  bool has_peer;
  Buffer source, target;
  InPlace in_place;
};
using Table = flagos_collective_table_t;
constexpr std::array<Row, FLAGOS_COLLECTIVE_OPERATION_COUNT> rows = {{
    {"all_reduce", &Table::all_reduce, true, false, Buffer::one, Buffer::one, InPlace::same},
    {"reduce", &Table::reduce, true, true, Buffer::one, Buffer::one_on_root, InPlace::same},
    {"reduce_scatter", &Table::reduce_scatter, true, false, Buffer::all, Buffer::one, InPlace::block_of_source},
    {"broadcast", &Table::broadcast, false, true, Buffer::none, Buffer::one, InPlace::never},
    {"all_gather", &Table::all_gather, false, false, Buffer::one, Buffer::all, InPlace::block_of_target},
    {"gather", &Table::gather, false, true, Buffer::one, Buffer::all_on_root, InPlace::block_of_target},
    {"scatter", &Table::scatter, false, true, Buffer::all_on_root, Buffer::one, InPlace::block_of_source},
    {"all_to_all", &Table::all_to_all, false, false, Buffer::all, Buffer::all, InPlace::never},
    {"send", &Table::send, false, true, Buffer::one, Buffer::none, InPlace::never},
    {"receive", &Table::receive, false, true, Buffer::none, Buffer::one, InPlace::never},
}};

const Row& row_of(flagos_collective_operation_t operation) { return rows[static_cast<std::size_t>(operation)]; }

bool is_message(flagos_collective_operation_t operation) {
  return operation == FLAGOS_COLLECTIVE_OPERATION_SEND || operation == FLAGOS_COLLECTIVE_OPERATION_RECEIVE;
}

// ---- checks ------------------------------------------------------------------------------------------------------

void check_reduction(const Row& row, flagos_collective_reduction_t reduction) {
  if (!row.reduces && reduction != 0)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} does not reduce, and its reduction is {}", row.name, reduction);
  if (reduction < 0 || reduction > FLAGOS_COLLECTIVE_REDUCTION_PREMULTIPLIED_SUM)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{}: {} is not a FLAGOS_COLLECTIVE_REDUCTION_*", row.name, reduction);
}

std::uint64_t element_bytes(const Row& row, flagos_dtype_t dtype) {
  const std::int64_t bits = element_bits(dtype);
  if (bits % 8 != 0)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{}: dtype {:#x} has elements of {} bits", row.name, dtype, bits);
  return static_cast<std::uint64_t>(bits) / 8;
}

std::uint64_t blocks_of(Buffer buffer, std::uint32_t size, bool is_root) {
  switch (buffer) {
    case Buffer::none:
      return 0;
    case Buffer::one:
      return 1;
    case Buffer::all:
      return size;
    case Buffer::all_on_root:
      return is_root ? size : 0;
    case Buffer::one_on_root:
      return is_root ? 1 : 0;
  }
  return 0;
}

bool is_in_place(const Row& row, const flagos_collective_desc_t& desc, std::uint64_t block_bytes, std::uint32_t rank) {
  switch (row.in_place) {
    case InPlace::never:
      return false;
    case InPlace::same:
      return desc.source == desc.target;
    case InPlace::block_of_source:
      return desc.target == desc.source + block_bytes * rank;
    case InPlace::block_of_target:
      return desc.source == desc.target + block_bytes * rank;
  }
  return false;
}

void check_buffers(const Communicator& communicator, const Row& row, const flagos_collective_desc_t& desc) {
  const std::uint64_t width = element_bytes(row, desc.dtype);
  std::uint64_t block = 0, most = 0;
  if (__builtin_mul_overflow(desc.count, width, &block) || __builtin_mul_overflow(block, communicator.size(), &most))
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{}: {} elements of {} bytes on {} ranks do not fit 64 bits", row.name,
                desc.count, width, communicator.size());
  if (block == 0) return;
  const bool is_root = desc.peer == communicator.rank();
  const std::uint64_t source = block * blocks_of(row.source, communicator.size(), is_root);
  const std::uint64_t target = block * blocks_of(row.target, communicator.size(), is_root);
  if (source != 0) communicator.device().check_range(desc.source, source, "the source");
  if (target != 0) communicator.device().check_range(desc.target, target, "the target");
  if (source == 0 || target == 0 || is_in_place(row, desc, block, communicator.rank())) return;
  if (desc.source < desc.target + target && desc.target < desc.source + source)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "{}: the source, {} bytes at {:#x}, and the target, {} bytes at {:#x}, overlap", row.name, source,
                desc.source, target, desc.target);
}

flagos_collective_desc_t checked_call(const Communicator& communicator, const Row& row,
                                      const flagos_collective_desc_t* given) {
  flagos_collective_desc_t desc = check_desc(given, "flagos_collective_desc_t");
  desc.struct_size = sizeof(desc);
  desc.next = nullptr;
  check_flags(desc.flags, 0, "flagos_collective_desc_t.flags");
  check_reduction(row, desc.reduction);
  if (!row.has_peer && desc.peer != 0)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} has no peer, and it is {}", row.name, desc.peer);
  if (desc.peer >= communicator.size())
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{}: peer {} of {} ranks", row.name, desc.peer, communicator.size());
  if (desc.reduction != FLAGOS_COLLECTIVE_REDUCTION_PREMULTIPLIED_SUM && desc.scale != 0)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{}: a scale of {} without PREMULTIPLIED_SUM", row.name, desc.scale);
  check_buffers(communicator, row, desc);
  return desc;
}

std::uint32_t support_of(const Device& device, flagos_collective_operation_t operation, flagos_dtype_t dtype,
                         flagos_collective_reduction_t reduction) {
  if (!device.tables().has.collectives[static_cast<std::size_t>(operation)]) return 0;
  flagos_collective_support_t support{};
  support.struct_size = sizeof(support);
  expect(device.tables().collective.query(device.native(), operation, dtype, reduction, &support), "collective.query");
  constexpr std::uint32_t known = FLAGOS_COLLECTIVE_SUPPORT_FLAG_RUNS | FLAGOS_COLLECTIVE_SUPPORT_FLAG_DEFERRABLE |
                                  FLAGOS_COLLECTIVE_SUPPORT_FLAG_HOST_MEMORY |
                                  FLAGOS_COLLECTIVE_SUPPORT_FLAG_QUEUES_ONLY | FLAGOS_COLLECTIVE_SUPPORT_FLAG_PREFERRED;
  if ((support.flags & ~known) != 0)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "collective.query gave the unknown flags {:#x}", support.flags & ~known);
  return (support.flags & FLAGOS_COLLECTIVE_SUPPORT_FLAG_RUNS) != 0 ? support.flags : 0;
}

// ---- submission --------------------------------------------------------------------------------------------------

bool is_deferred(std::uint32_t mode) {
  return (mode & (Stream::capturing | Stream::soft)) != 0 && (mode & (Stream::lost | Stream::poisoned)) == 0;
}

// What becomes a node of a graph, or is held back, must not be refused when its turn comes.
CollectiveCommand make_deferred(const Stream& stream, std::vector<CollectiveCall> calls) {
  CollectiveCommand command;
  const std::uint32_t mode = stream.mode();
  if (is_deferred(mode)) {
    for (const CollectiveCall& call : calls) {
      const std::uint32_t flags = support_of(stream.device(), call.operation, call.desc.dtype, call.desc.reduction);
      if ((flags & FLAGOS_COLLECTIVE_SUPPORT_FLAG_DEFERRABLE) == 0)
        throw_error(FLAGOS_STATUS_UNSUPPORTED, "{} of device {} is queued at once or not at all, and the stream {}",
                    collective_name(call.operation), stream.device().info().id,
                    (mode & Stream::capturing) != 0 ? "is captured" : "is held back");
      if ((mode & Stream::capturing) == 0) command.tokens.push_back(call.communicator->hold_back(stream));
    }
  }
  command.calls = std::make_shared<const std::vector<CollectiveCall>>(std::move(calls));
  return command;
}

flagos_status_t submit_one(Stream& stream, const CollectiveCall& call) {
  const Communicator& communicator = *call.communicator;
  const auto direct = [&] {
    return collective_slot(communicator.tables().collective, call.operation)(communicator.native(), stream.native(),
                                                                             &call.desc);
  };
  return stream.submit(
      direct, [&] { return make_deferred(stream, {call}); }, collective_name(call.operation));
}

// ---- groups ------------------------------------------------------------------------------------------------------

struct Group {
  struct Entry {
    Ref<Stream> stream;
    CollectiveCall call;
  };
  std::uint32_t depth = 0;
  std::vector<Entry> entries;
  flagos_status_t status = FLAGOS_STATUS_OK;
  std::string text;

  void fail(flagos_status_t failed) {
    if (status != FLAGOS_STATUS_OK) return;
    status = failed;
    text = flagos_last_error();
  }
};
thread_local Group group;

// Leaves the group closed and empty, whatever happens to what it held.
Group take_group() {
  Group taken = std::move(group);
  group = Group{};
  return taken;
}

// Between begin and end: the plugin sees the calls of one of its instances and nothing else.
template <typename Calls>
flagos_status_t in_plugin_group(const Device& device, std::size_t count, const Calls& calls) {
  const Table& table = device.tables().collective;
  if (count == 1) return calls();
  flagos_plugin_instance_t* const instance = device.plugin().instance();
  if (const flagos_status_t status = table.group_begin(instance)) return status;
  const flagos_status_t first = calls();
  const flagos_status_t ended = table.group_end(instance);
  return first != FLAGOS_STATUS_OK ? first : ended;
}

flagos_status_t submit_plugin_group(const std::vector<const Group::Entry*>& entries) {
  return in_plugin_group(entries.front()->stream->device(), entries.size(), [&] {
    for (const Group::Entry* const entry : entries) {
      const Communicator& communicator = *entry->call.communicator;
      const Stream::Submission submission(*entry->stream);
      const flagos_status_t status = collective_slot(communicator.tables().collective, entry->call.operation)(
          communicator.native(), entry->stream->native(), &entry->call.desc);
      if (status != FLAGOS_STATUS_OK) return checked(status, collective_name(entry->call.operation));
    }
    return flagos_status_t{FLAGOS_STATUS_OK};
  });
}

// All streams are ordinary ones: plugin by plugin, in the order in which they appear.
flagos_status_t submit_direct(const std::vector<Group::Entry>& entries) {
  std::vector<bool> is_done(entries.size(), false);
  for (std::size_t first = 0; first < entries.size(); ++first) {
    if (is_done[first]) continue;
    const flagos_plugin_instance_t* const instance = entries[first].stream->device().plugin().instance();
    std::vector<const Group::Entry*> same;
    for (std::size_t i = first; i < entries.size(); ++i) {
      if (entries[i].stream->device().plugin().instance() != instance) continue;
      is_done[i] = true;
      same.push_back(&entries[i]);
    }
    if (const flagos_status_t status = submit_plugin_group(same)) return checked(status, "collective.group_end");
  }
  return FLAGOS_STATUS_OK;
}

flagos_status_t submit_group(const std::vector<Group::Entry>& entries) {
  Stream& first = *entries.front().stream;
  for (const Group::Entry& entry : entries) {
    entry.call.communicator->check_order(*entry.stream);
    if (entries.size() > 1 && !entry.stream->tables().has.collective_groups)
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "device {} has no groups of collectives, and this one has {}",
                  entry.stream->device().info().id, entries.size());
  }
  if (std::all_of(entries.begin(), entries.end(), [](const auto& entry) { return entry.stream->mode() == 0; }))
    return submit_direct(entries);
  std::vector<CollectiveCall> calls;
  for (const Group::Entry& entry : entries) {
    if (entry.stream.get() != &first)
      throw_error(FLAGOS_STATUS_UNSUPPORTED,
                  "a group on several streams, one of which is captured, held back or has failed");
    calls.push_back(entry.call);
  }
  return first.submit_slow(make_deferred(first, std::move(calls)));
}

flagos_status_t run(flagos_communicator_t* communicator, flagos_stream_t* stream,
                    flagos_collective_operation_t operation, const flagos_collective_desc_t* given) {
  Communicator& object = resolve<Communicator>(communicator, "communicator");
  Stream& target = resolve<Stream>(stream, "stream");
  const Row& row = row_of(operation);
  check_same_device(object.device(), target.device(), "the stream");
  CollectiveCall call{Ref<Communicator>(&object), operation, checked_call(object, row, given)};
  if (object.is_aborted()) throw_error(FLAGOS_STATUS_COMM_ABORTED, "{}: the communicator was aborted", row.name);
  if (process_state.load(std::memory_order_relaxed) & process_validating) [[unlikely]]
    validate_collective(object.device(), call.desc);
  if (group.depth != 0) {
    group.entries.push_back({Ref<Stream>(&target), std::move(call)});
    return FLAGOS_STATUS_OK;
  }
  if (is_message(operation) && call.desc.peer == object.rank())
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{}: rank {} itself, which needs a group with both ends", row.name,
                object.rank());
  object.check_order(target);
  return submit_one(target, call);
}

// A failure in a group is the group's, too.
flagos_status_t collective_entry(const char* name, flagos_communicator_t* communicator, flagos_stream_t* stream,
                                 flagos_collective_operation_t operation, const flagos_collective_desc_t* desc) {
  const flagos_status_t status = entry(name, [&] { return run(communicator, stream, operation, desc); });
  if (status != FLAGOS_STATUS_OK && group.depth != 0) group.fail(status);
  return status;
}

}  // namespace

flagos_collective_function_t collective_slot(const flagos_collective_table_t& table,
                                             flagos_collective_operation_t operation) {
  return table.*row_of(operation).slot;
}

flagos_collective_function_t& collective_slot(flagos_collective_table_t& table,
                                              flagos_collective_operation_t operation) {
  return table.*row_of(operation).slot;
}

const char* collective_name(flagos_collective_operation_t operation) { return row_of(operation).name; }

flagos_status_t issue_collectives(Stream& stream, const std::vector<CollectiveCall>& calls) {
  return in_plugin_group(stream.device(), calls.size(), [&] {
    for (const CollectiveCall& call : calls) {
      const flagos_status_t status = collective_slot(stream.tables().collective, call.operation)(
          call.communicator->native(), stream.native(), &call.desc);
      if (status != FLAGOS_STATUS_OK) return status;
    }
    return flagos_status_t{FLAGOS_STATUS_OK};
  });
}

}  // namespace flagos::core

using namespace flagos;
using namespace flagos::core;

flagos_status_t flagos_collective_query(flagos_device_t* device, flagos_collective_operation_t operation,
                                        flagos_dtype_t dtype, flagos_collective_reduction_t reduction,
                                        flagos_collective_support_t* out_support) {
  return entry(__func__, [&] {
    begin_out(out_support, "out_support");
    const Device& object = resolve<Device>(device, "device");
    if (operation < 0 || operation >= FLAGOS_COLLECTIVE_OPERATION_COUNT)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} is not a FLAGOS_COLLECTIVE_OPERATION_*", operation);
    check_reduction(row_of(operation), reduction);
    element_bytes(row_of(operation), dtype);
    object.require_feature(FLAGOS_FEATURE_COLLECTIVE, "native collectives");
    flagos_collective_support_t support{};
    support.flags = support_of(object, operation, dtype, reduction);
    finish_out(out_support, support);
  });
}

#define FLAGOS_COLLECTIVE_ENTRY(name, operation)                                                            \
  flagos_status_t flagos_collective_##name(flagos_communicator_t* communicator, flagos_stream_t* stream,    \
                                           const flagos_collective_desc_t* desc) {                          \
    return collective_entry(__func__, communicator, stream, FLAGOS_COLLECTIVE_OPERATION_##operation, desc); \
  }
FLAGOS_COLLECTIVE_ENTRY(all_reduce, ALL_REDUCE)
FLAGOS_COLLECTIVE_ENTRY(reduce, REDUCE)
FLAGOS_COLLECTIVE_ENTRY(reduce_scatter, REDUCE_SCATTER)
FLAGOS_COLLECTIVE_ENTRY(broadcast, BROADCAST)
FLAGOS_COLLECTIVE_ENTRY(all_gather, ALL_GATHER)
FLAGOS_COLLECTIVE_ENTRY(gather, GATHER)
FLAGOS_COLLECTIVE_ENTRY(scatter, SCATTER)
FLAGOS_COLLECTIVE_ENTRY(all_to_all, ALL_TO_ALL)
FLAGOS_COLLECTIVE_ENTRY(send, SEND)
FLAGOS_COLLECTIVE_ENTRY(receive, RECEIVE)
#undef FLAGOS_COLLECTIVE_ENTRY

flagos_status_t flagos_collective_group_begin(void) {
  return entry(__func__, [] { ++group.depth; });
}

flagos_status_t flagos_collective_group_end(void) {
  return entry(__func__, [&]() -> flagos_status_t {
    if (group.depth == 0) throw_error(FLAGOS_STATUS_NOT_PERMITTED, "no group of collectives is open on this thread");
    if (--group.depth != 0) return FLAGOS_STATUS_OK;
    const Group taken = take_group();
    if (taken.status != FLAGOS_STATUS_OK) throw Error(taken.status, taken.text);
    return taken.entries.empty() ? FLAGOS_STATUS_OK : submit_group(taken.entries);
  });
}
