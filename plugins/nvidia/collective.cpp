#include "plugins/nvidia/collective.hpp"

#include <algorithm>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/thread.hpp"
#include "plugins/nvidia/communicator.hpp"
#include "plugins/nvidia/handles.hpp"

namespace flagos::nvidia {
namespace {

bool reduces(flagos_collective_operation_t operation) {
  return operation == FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE ||
         operation == FLAGOS_COLLECTIVE_OPERATION_REDUCE ||
         operation == FLAGOS_COLLECTIVE_OPERATION_REDUCE_SCATTER;
}

std::uint64_t bytes_of(flagos_dtype_t dtype) {
  return std::uint64_t{FLAGOS_DTYPE_BITS(dtype)} * FLAGOS_DTYPE_LANES(dtype) / 8;
}

// -1 where NCCL does not compute with it.
ncclDataType_t type_of(flagos_dtype_t dtype) {
  switch (dtype) {
    case FLAGOS_DTYPE_INT8:
      return ncclInt8;
    case FLAGOS_DTYPE_UINT8:
      return ncclUint8;
    case FLAGOS_DTYPE_INT32:
      return ncclInt32;
    case FLAGOS_DTYPE_UINT32:
      return ncclUint32;
    case FLAGOS_DTYPE_INT64:
      return ncclInt64;
    case FLAGOS_DTYPE_UINT64:
      return ncclUint64;
    case FLAGOS_DTYPE_FLOAT16:
      return ncclFloat16;
    case FLAGOS_DTYPE_BFLOAT16:
      return ncclBfloat16;
    case FLAGOS_DTYPE_FLOAT32:
      return ncclFloat32;
    case FLAGOS_DTYPE_FLOAT64:
      return ncclFloat64;
    default:
      return -1;
  }
}

bool is_taken(flagos_collective_operation_t operation, flagos_dtype_t dtype,
              flagos_collective_reduction_t reduction) {
  if (!reduces(operation)) return true;  // bytes are moved
  const ncclDataType_t type = type_of(dtype);
  switch (reduction) {
    case FLAGOS_COLLECTIVE_REDUCTION_SUM:
    case FLAGOS_COLLECTIVE_REDUCTION_PRODUCT:
    case FLAGOS_COLLECTIVE_REDUCTION_MIN:
    case FLAGOS_COLLECTIVE_REDUCTION_MAX:
      return type >= 0;
    case FLAGOS_COLLECTIVE_REDUCTION_AVERAGE:
      return type >= ncclFloat16;
    case FLAGOS_COLLECTIVE_REDUCTION_PREMULTIPLIED_SUM:
      return type == ncclFloat32 || type == ncclFloat64;
    default:
      return false;
  }
}

struct CollectiveCall {
  Communicator* communicator;
  Stream* stream;
  flagos_collective_operation_t operation;
  flagos_collective_desc_t desc;
};

// ---- one call ---------------------------------------------------------------------------------

// NCCL's reduction; a premultiplied sum is made for the call.
class Reduction {
 public:
  Reduction(const Nccl& nccl, ncclComm_t comm, const flagos_collective_desc_t& desc)
      : nccl_(nccl), comm_(comm) {
    switch (desc.reduction) {
      case FLAGOS_COLLECTIVE_REDUCTION_PRODUCT:
        op = ncclProd;
        break;
      case FLAGOS_COLLECTIVE_REDUCTION_MIN:
        op = ncclMin;
        break;
      case FLAGOS_COLLECTIVE_REDUCTION_MAX:
        op = ncclMax;
        break;
      case FLAGOS_COLLECTIVE_REDUCTION_AVERAGE:
        op = ncclAvg;
        break;
      case FLAGOS_COLLECTIVE_REDUCTION_PREMULTIPLIED_SUM: {
        double wide = desc.scale;
        float narrow = static_cast<float>(desc.scale);
        const bool is_wide = desc.dtype == FLAGOS_DTYPE_FLOAT64;
        result = nccl.ncclRedOpCreatePreMulSum(&op, is_wide ? static_cast<void*>(&wide) : &narrow,
                                               type_of(desc.dtype), ncclScalarHostImmediate, comm);
        is_made_ = result == ncclSuccess;
        break;
      }
      default:
        break;
    }
  }
  ~Reduction() {
    if (is_made_) nccl_.ncclRedOpDestroy(op, comm_);
  }
  Reduction(const Reduction&) = delete;
  Reduction& operator=(const Reduction&) = delete;

  ncclRedOp_t op = ncclSum;
  ncclResult_t result = ncclSuccess;

 private:
  const Nccl& nccl_;
  const ncclComm_t comm_;
  bool is_made_ = false;
};

// Calls NCCL, in a group: what has no function of its own is made of messages.
class Issue {
 public:
  Issue(const CollectiveCall& call, ncclComm_t comm)
      : nccl_(call.communicator->nccl()),
        desc_(call.desc),
        comm_(comm),
        stream_(call.stream->show()),
        rank_(call.communicator->rank()),
        size_(call.communicator->size()),
        block_(call.desc.count * bytes_of(call.desc.dtype)) {}

  ncclResult_t run(flagos_collective_operation_t operation) {
    if (block_ == 0) return ncclSuccess;
    const auto root = static_cast<int>(desc_.peer);
    const bool is_root = desc_.peer == rank_;
    switch (operation) {
      case FLAGOS_COLLECTIVE_OPERATION_BROADCAST:
        return nccl_.ncclBroadcast(source(desc_.target), target(desc_.target), block_, ncclUint8,
                                   root, comm_, stream_);
      case FLAGOS_COLLECTIVE_OPERATION_ALL_GATHER:
        return nccl_.ncclAllGather(source(desc_.source), target(desc_.target), block_, ncclUint8,
                                   comm_, stream_);
      case FLAGOS_COLLECTIVE_OPERATION_GATHER:
        send(desc_.source, desc_.peer);
        for (std::uint32_t i = 0; is_root && i < size_; ++i) receive(desc_.target + i * block_, i);
        return result_;
      case FLAGOS_COLLECTIVE_OPERATION_SCATTER:
        for (std::uint32_t i = 0; is_root && i < size_; ++i) send(desc_.source + i * block_, i);
        receive(desc_.target, desc_.peer);
        return result_;
      case FLAGOS_COLLECTIVE_OPERATION_ALL_TO_ALL:
        for (std::uint32_t i = 0; i < size_; ++i) {
          send(desc_.source + i * block_, i);
          receive(desc_.target + i * block_, i);
        }
        return result_;
      case FLAGOS_COLLECTIVE_OPERATION_SEND:
        send(desc_.source, desc_.peer);
        return result_;
      case FLAGOS_COLLECTIVE_OPERATION_RECEIVE:
        receive(desc_.target, desc_.peer);
        return result_;
      default:
        return reduce(operation);
    }
  }

 private:
  static const void* source(flagos_address_t address) {
    return reinterpret_cast<const void*>(address);
  }
  static void* target(flagos_address_t address) { return reinterpret_cast<void*>(address); }

  ncclResult_t reduce(flagos_collective_operation_t operation) {
    const Reduction reduction(nccl_, comm_, desc_);
    if (reduction.result != ncclSuccess) return reduction.result;
    const ncclDataType_t type = type_of(desc_.dtype);
    switch (operation) {
      case FLAGOS_COLLECTIVE_OPERATION_REDUCE:
        return nccl_.ncclReduce(source(desc_.source), target(desc_.target), desc_.count, type,
                                reduction.op, static_cast<int>(desc_.peer), comm_, stream_);
      case FLAGOS_COLLECTIVE_OPERATION_REDUCE_SCATTER:
        return nccl_.ncclReduceScatter(source(desc_.source), target(desc_.target), desc_.count,
                                       type, reduction.op, comm_, stream_);
      default:
        return nccl_.ncclAllReduce(source(desc_.source), target(desc_.target), desc_.count, type,
                                   reduction.op, comm_, stream_);
    }
  }
  void send(flagos_address_t address, std::uint32_t peer) {
    keep(
        nccl_.ncclSend(source(address), block_, ncclUint8, static_cast<int>(peer), comm_, stream_));
  }
  void receive(flagos_address_t address, std::uint32_t peer) {
    keep(
        nccl_.ncclRecv(target(address), block_, ncclUint8, static_cast<int>(peer), comm_, stream_));
  }
  void keep(ncclResult_t result) {
    if (result_ == ncclSuccess || result_ == ncclInProgress) result_ = result;
  }

  const Nccl& nccl_;
  const flagos_collective_desc_t& desc_;
  const ncclComm_t comm_;
  CUstream const stream_;
  const std::uint32_t rank_, size_;
  const std::uint64_t block_;
  ncclResult_t result_ = ncclSuccess;
};

// ---- groups -----------------------------------------------------------------------------------

// In an order that all threads have, each once.
template <typename Object>
std::vector<Object*> distinct(const std::vector<CollectiveCall>& calls,
                              Object* CollectiveCall::*member) {
  std::vector<Object*> all;
  for (const CollectiveCall& call : calls) all.push_back(call.*member);
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

void issue(const std::vector<CollectiveCall>& calls,
           const std::vector<Communicator*>& communicators) {
  const Nccl& nccl = communicators.front()->nccl();
  ncclResult_t result = ncclSuccess;
  std::string text;
  {
    const SignalsBlocked blocked;
    std::vector<Communicator::Hold> holds;
    for (Communicator* communicator : communicators) holds.emplace_back(*communicator);
    nccl.ncclGroupStart();
    const auto keep = [&](ncclResult_t now) {
      if (result == ncclSuccess || result == ncclInProgress) result = now;
    };
    for (const CollectiveCall& call : calls) {
      const auto at =
          std::lower_bound(communicators.begin(), communicators.end(), call.communicator);
      const ncclComm_t comm = holds[static_cast<std::size_t>(at - communicators.begin())].handle();
      keep(Issue(call, comm).run(call.operation));
    }
    keep(nccl.ncclGroupEnd());
    if (result != ncclSuccess && result != ncclInProgress)
      text = nccl.text_of(result, holds.front().handle());
  }
  if (!text.empty())
    throw_error(result == ncclInvalidArgument || result == ncclInvalidUsage
                    ? FLAGOS_STATUS_INVALID_ARGUMENT
                    : FLAGOS_STATUS_RANK_FAILED,
                "NCCL refused the call: {}", text);
  for (Communicator* communicator : communicators) communicator->wait_called();
}

void submit(std::span<Stream* const> streams, std::uint64_t timeout_ns,
            const std::function<void()>& body) {
  if (streams.empty()) return body();
  Stream& first = *streams.front();
  const Current current(first.driver(), first.device().context());
  first.submit_waiting({FLAGOS_RECORD_KIND_OTHER, "collective", 0}, timeout_ns,
                       [&] { submit(streams.subspan(1), timeout_ns, body); });
}

void run_all(const std::vector<CollectiveCall>& calls) {
  if (calls.empty()) return;
  const std::vector<Communicator*> communicators = distinct(calls, &CollectiveCall::communicator);
  const std::vector<Stream*> streams = distinct(calls, &CollectiveCall::stream);
  std::vector<std::pair<Communicator*, Stream*>> used;
  for (const CollectiveCall& call : calls) used.emplace_back(call.communicator, call.stream);
  std::sort(used.begin(), used.end());
  used.erase(std::unique(used.begin(), used.end()), used.end());
  std::uint64_t timeout_ns = 0;
  for (Communicator* communicator : communicators) {
    communicator->check();
    timeout_ns = std::max(timeout_ns, communicator->timeout_ns());
  }
  submit(streams, timeout_ns, [&] {
    const auto each = [&](auto mark) {
      for (const auto& [communicator, stream] : used) {
        const Current current(stream->driver(), stream->device().context());
        (communicator->*mark)(*stream);
      }
    };
    try {
      each(&Communicator::begin);
      issue(calls, communicators);
      each(&Communicator::end);
    } catch (...) {
      each(&Communicator::cancel);
      throw;
    }
  });
}

void check_memory(const CollectiveCall& call) {
  Memory& memory = call.stream->device().memory();
  for (const flagos_address_t address : {call.desc.source, call.desc.target})
    if (address != 0 && call.desc.count != 0 && memory.place_of(address) == Place::pageable)
      throw_error(FLAGOS_STATUS_UNSUPPORTED,
                  "{:#x} is ordinary host memory, which NCCL does not take: allocate it with "
                  "flagos, or register it",
                  address);
}

// Of the group that is open on this thread; core opens none inside another.
thread_local bool is_collecting = false;
thread_local std::vector<CollectiveCall> collected;

}  // namespace

// ---- entries ----------------------------------------------------------------------------------

flagos_status_t collective_query(flagos_plugin_device_t*, flagos_collective_operation_t operation,
                                 flagos_dtype_t dtype, flagos_collective_reduction_t reduction,
                                 flagos_collective_support_t* out_support) noexcept {
  // PREFERRED is for what was measured, and nothing has run on a card yet.
  if (is_taken(operation, dtype, reduction))
    out_support->flags =
        FLAGOS_COLLECTIVE_SUPPORT_FLAG_RUNS | FLAGOS_COLLECTIVE_SUPPORT_FLAG_DEFERRABLE;
  return FLAGOS_STATUS_OK;
}

flagos_status_t unique_id_create(flagos_plugin_device_t* device,
                                 flagos_collective_id_t* out_id) noexcept {
  Device& self = from_c(device);
  return device_entry(self, [&] {
    const SignalsBlocked blocked;
    const Nccl& nccl = *self.instance().nccl();
    ncclUniqueId id;
    if (const ncclResult_t result = nccl.ncclGetUniqueId(&id); result != ncclSuccess)
      throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "ncclGetUniqueId: {}",
                  nccl.text_of(result, nullptr));
    std::copy_n(id.internal, sizeof(id.internal), out_id->bytes);
    out_id->size_bytes = sizeof(id.internal);
  });
}

flagos_status_t communicator_create(flagos_plugin_device_t* device,
                                    const flagos_communicator_desc_t* desc,
                                    flagos_plugin_communicator_t** out_communicator) noexcept {
  Device& self = from_c(device);
  return device_entry(self, [&] {
    *out_communicator = to_c(std::make_unique<Communicator>(self, *desc).release());
  });
}

void communicator_destroy(flagos_plugin_communicator_t* communicator) noexcept {
  Device& device = from_c(communicator).device();
  device_entry(device, [&] { delete &from_c(communicator); });
}

flagos_status_t communicator_query_error(flagos_plugin_communicator_t* communicator,
                                         flagos_status_t* out_status) noexcept {
  Communicator& self = from_c(communicator);
  self.advance();
  if (const Failure failed = self.failure()) {
    *out_status = failed->status();
    self.device().host().set_error(failed->status(), failed->what());
  }
  return FLAGOS_STATUS_OK;
}

flagos_status_t communicator_split(flagos_plugin_communicator_t* communicator, std::int32_t color,
                                   std::int32_t key,
                                   flagos_plugin_communicator_t** out_communicator,
                                   std::uint32_t* out_rank, std::uint32_t* out_size) noexcept {
  Communicator& self = from_c(communicator);
  return device_entry(self.device(), [&] {
    std::unique_ptr<Communicator> part = self.split(color, key);
    if (part == nullptr) return;
    *out_rank = part->rank();
    *out_size = part->size();
    *out_communicator = to_c(part.release());
  });
}

flagos_status_t communicator_abort(flagos_plugin_communicator_t* communicator) noexcept {
  Communicator& self = from_c(communicator);
  return device_entry(self.device(), [&] { self.abort(); });
}

flagos_status_t communicator_register(flagos_plugin_communicator_t* communicator,
                                      flagos_address_t address, std::uint64_t size_bytes,
                                      flagos_plugin_registration_t** out_registration) noexcept {
  Communicator& self = from_c(communicator);
  return device_entry(self.device(), [&] {
    *out_registration =
        reinterpret_cast<flagos_plugin_registration_t*>(self.register_buffer(address, size_bytes));
  });
}

void communicator_deregister(flagos_plugin_communicator_t* communicator,
                             flagos_plugin_registration_t* registration) noexcept {
  Communicator& self = from_c(communicator);
  device_entry(self.device(), [&] { self.deregister_buffer(registration); });
}

flagos_status_t run_collective(flagos_plugin_communicator_t* communicator,
                               flagos_plugin_stream_t* stream,
                               flagos_collective_operation_t operation,
                               const flagos_collective_desc_t* desc) noexcept {
  const CollectiveCall call{&from_c(communicator), &from_c(stream), operation, *desc};
  return device_entry(call.stream->device(), [&] {
    if (!is_taken(operation, desc->dtype, desc->reduction))
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "NCCL does not reduce dtype {:#x} by reduction {}",
                  desc->dtype, desc->reduction);
    check_memory(call);
    call.communicator->check();
    if (is_collecting) {
      collected.push_back(call);
    } else {
      run_all({call});
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
  return entry(from_c(instance).host(), [&] { run_all(std::exchange(collected, {})); });
}

}  // namespace flagos::nvidia
