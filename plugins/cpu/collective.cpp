#include "plugins/cpu/collective.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "plugins/cpu/communicator.hpp"
#include "plugins/cpu/device.hpp"
#include "plugins/cpu/handles.hpp"
#include "plugins/cpu/stream.hpp"

namespace flagos::cpu {
namespace {

bool is_message(flagos_collective_operation_t operation) {
  return operation == FLAGOS_COLLECTIVE_OPERATION_SEND ||
         operation == FLAGOS_COLLECTIVE_OPERATION_RECEIVE;
}

bool reduces(flagos_collective_operation_t operation) {
  return operation == FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE ||
         operation == FLAGOS_COLLECTIVE_OPERATION_REDUCE ||
         operation == FLAGOS_COLLECTIVE_OPERATION_REDUCE_SCATTER;
}

bool is_taken(flagos_collective_operation_t operation, flagos_dtype_t dtype,
              flagos_collective_reduction_t reduction) {
  return reduces(operation) ? is_defined({dtype, static_cast<std::uint8_t>(reduction), false})
                            : dtype_bytes(dtype) != 0;
}

struct CollectiveCall {
  Communicator* communicator;
  Stream* stream;
  flagos_collective_operation_t operation;
  flagos_collective_desc_t desc;
};

// Of the group that is open on this thread; core opens none inside another.
thread_local bool is_collecting = false;
thread_local std::vector<CollectiveCall> collected;

void submit_operation(const CollectiveCall& call) {
  call.stream->submit<CollectiveCommand>([&](CollectiveCommand& command) {
    command.communicator = call.communicator;
    command.operation = call.operation;
    command.desc = call.desc;
    command.turn = call.communicator->take_turn();
  });
}

void submit_messages(Stream& stream, Communicator& communicator,
                     const std::vector<CollectiveCall>& calls) {
  auto messages = std::make_unique<Message[]>(calls.size());
  stream.submit<ExchangeCommand>([&](ExchangeCommand& command) {
    for (std::size_t i = 0; i < calls.size(); ++i) {
      const flagos_collective_desc_t& desc = calls[i].desc;
      Message& message = messages[i];
      message.is_send = calls[i].operation == FLAGOS_COLLECTIVE_OPERATION_SEND;
      message.peer = desc.peer;
      message.number = communicator.take_number(message.is_send, desc.peer);
      message.data = reinterpret_cast<std::byte*>(message.is_send ? desc.source : desc.target);
      message.bytes = desc.count * dtype_bytes(desc.dtype);
    }
    command.communicator = &communicator;
    command.count = calls.size();
    command.messages = std::move(messages);
  });
}

// Messages of one communicator on one stream are one command. They come first on all ranks: they wait for nothing else.
void submit_all(std::vector<CollectiveCall> calls) {
  while (true) {
    const auto first = std::find_if(calls.begin(), calls.end(), [](const CollectiveCall& call) {
      return is_message(call.operation);
    });
    if (first == calls.end()) break;
    const CollectiveCall head = *first;
    const auto belongs = [&](const CollectiveCall& call) {
      return is_message(call.operation) && call.communicator == head.communicator &&
             call.stream == head.stream;
    };
    std::vector<CollectiveCall> together;
    std::copy_if(calls.begin(), calls.end(), std::back_inserter(together), belongs);
    std::erase_if(calls, belongs);
    submit_messages(*head.stream, *head.communicator, together);
  }
  for (const CollectiveCall& call : calls) submit_operation(call);
}

}  // namespace

flagos_status_t collective_query(flagos_plugin_device_t*, flagos_collective_operation_t operation,
                                 flagos_dtype_t dtype, flagos_collective_reduction_t reduction,
                                 flagos_collective_support_t* out_support) noexcept {
  if (is_taken(operation, dtype, reduction))
    out_support->flags =
        FLAGOS_COLLECTIVE_SUPPORT_FLAG_RUNS | FLAGOS_COLLECTIVE_SUPPORT_FLAG_DEFERRABLE |
        FLAGOS_COLLECTIVE_SUPPORT_FLAG_HOST_MEMORY | FLAGOS_COLLECTIVE_SUPPORT_FLAG_QUEUES_ONLY;
  return FLAGOS_STATUS_OK;
}

flagos_status_t unique_id_create(flagos_plugin_device_t* device,
                                 flagos_collective_id_t* out_id) noexcept {
  return entry(from_c(device).host(), [&] {
    const SegmentId id = make_segment_id();
    std::memcpy(out_id->bytes, id.bytes.data(), id.bytes.size());
    out_id->size_bytes = static_cast<std::uint32_t>(id.bytes.size());
  });
}

flagos_status_t communicator_create(flagos_plugin_device_t* device,
                                    const flagos_communicator_desc_t* desc,
                                    flagos_plugin_communicator_t** out_communicator) noexcept {
  return entry(from_c(device).host(), [&] {
    SegmentId id;
    if (desc->id->size_bytes != id.bytes.size())
      throw_error(FLAGOS_STATUS_COMM_REFUSED, "an id of {} bytes; the cpu plugin's have {}",
                  desc->id->size_bytes, id.bytes.size());
    std::memcpy(id.bytes.data(), desc->id->bytes, id.bytes.size());
    *out_communicator = to_c(
        std::make_unique<Communicator>(from_c(device), id, desc->rank, desc->size, desc->timeout_ns)
            .release());
  });
}

void communicator_destroy(flagos_plugin_communicator_t* communicator) noexcept {
  delete &from_c(communicator);
}

flagos_status_t communicator_query_error(flagos_plugin_communicator_t* communicator,
                                         flagos_status_t* out_status) noexcept {
  Communicator& self = from_c(communicator);
  return entry(self.device().host(), [&] {
    std::string text;
    *out_status = self.status(text);
    if (*out_status != FLAGOS_STATUS_OK) self.device().host().set_error(*out_status, text.c_str());
  });
}

flagos_status_t communicator_split(flagos_plugin_communicator_t* communicator, std::int32_t color,
                                   std::int32_t key,
                                   flagos_plugin_communicator_t** out_communicator,
                                   std::uint32_t* out_rank, std::uint32_t* out_size) noexcept {
  Communicator& self = from_c(communicator);
  return entry(self.device().host(), [&] {
    std::unique_ptr<Communicator> part = self.split(color, key);
    if (part == nullptr) return;
    *out_rank = part->rank();
    *out_size = part->size();
    *out_communicator = to_c(part.release());
  });
}

flagos_status_t communicator_abort(flagos_plugin_communicator_t* communicator) noexcept {
  from_c(communicator).abort();
  return FLAGOS_STATUS_OK;
}

flagos_status_t run_collective(flagos_plugin_communicator_t* communicator,
                               flagos_plugin_stream_t* stream,
                               flagos_collective_operation_t operation,
                               const flagos_collective_desc_t* desc) noexcept {
  const CollectiveCall call{&from_c(communicator), &from_c(stream), operation, *desc};
  return entry(call.stream->device().host(), [&] {
    if (!is_taken(operation, desc->dtype, desc->reduction))
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "{}: {} of {} is not defined",
                  operation_name(operation),
                  reduces(operation) ? reduction_name(static_cast<std::uint8_t>(desc->reduction))
                                     : "elements",
                  dtype_name(desc->dtype));
    call.communicator->check();
    if (is_collecting) {
      collected.push_back(call);
    } else {
      submit_all({call});
    }
  });
}

flagos_status_t collective_group_begin(flagos_plugin_instance_t*) noexcept {
  collected.clear();
  is_collecting = true;
  return FLAGOS_STATUS_OK;
}

flagos_status_t collective_group_end(flagos_plugin_instance_t* instance) noexcept {
  is_collecting = false;
  return entry(from_c(instance).host(), [&] { submit_all(std::exchange(collected, {})); });
}

}  // namespace flagos::cpu
