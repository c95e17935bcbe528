// The functions of NCCL: operations are tasks of streams, made of messages between the ranks.
#include <algorithm>
#include <cstring>

#include "base/reduce/reduce.hpp"
#include "plugins/nvidia/fake_driver/nccl_comm.hpp"

namespace flagos::nvidia::fake {
namespace {

constexpr ncclRedOp_t first_made_op = 5;

// ---- operations -------------------------------------------------------------------------------

enum class Act { all_reduce, reduce, reduce_scatter, broadcast, all_gather, send, receive };
struct Operation {
  Act act;
  CommRef comm;
  CUstream stream;
  const void* source;
  void* target;
  std::size_t count;
  ncclDataType_t type;
  ncclRedOp_t op = ncclSum;
  int peer = 0;
};

flagos_dtype_t dtype_of(ncclDataType_t type) {
  static constexpr flagos_dtype_t all[] = {
      FLAGOS_DTYPE_INT8,    FLAGOS_DTYPE_UINT8,   FLAGOS_DTYPE_INT32,   FLAGOS_DTYPE_UINT32,
      FLAGOS_DTYPE_INT64,   FLAGOS_DTYPE_UINT64,  FLAGOS_DTYPE_FLOAT16, FLAGOS_DTYPE_FLOAT32,
      FLAGOS_DTYPE_FLOAT64, FLAGOS_DTYPE_BFLOAT16};
  return type >= 0 && type <= ncclBfloat16 ? all[type] : 0;
}

std::uint64_t block_of(const Operation& operation) {
  return operation.count * dtype_bytes(dtype_of(operation.type));
}

// Messages to oneself, first to first, second to second.
void move_own(std::vector<Part>& parts, int rank) {
  const auto next = [&](bool is_send) {
    return std::find_if(parts.begin(), parts.end(), [&](const Part& part) {
      return part.peer == rank && part.left != 0 && part.is_send == is_send;
    });
  };
  for (auto from = next(true), to = next(false); from != parts.end() && to != parts.end();
       from = next(true), to = next(false)) {
    std::memmove(to->data, from->data, std::min(from->left, to->left));
    from->left = to->left = 0;
  }
}

// What this rank gives, multiplied by its own number where the reduction has one.
std::vector<std::byte> scaled(const Operation& operation, std::uint64_t bytes) {
  std::vector<std::byte> own(bytes);
  std::memcpy(own.data(), operation.source, bytes);
  if (operation.op < first_made_op) return own;
  const double scale =
      operation.comm->scales[static_cast<std::size_t>(operation.op - first_made_op)];
  const auto multiply = [&](auto number) {
    auto* const numbers = reinterpret_cast<decltype(number)*>(own.data());
    for (std::uint64_t i = 0; i < bytes / sizeof(number); ++i)
      numbers[i] *= static_cast<decltype(number)>(scale);
  };
  operation.type == ncclFloat64 ? multiply(double{}) : multiply(float{});
  return own;
}

// Each rank gets all contributions to what it is to have, and adds them in the order of the ranks.
bool reduce_between(const Operation& operation) {
  ncclComm& comm = *operation.comm;
  const bool scatters = operation.act == Act::reduce_scatter;
  const auto ranks = static_cast<std::uint64_t>(comm.size);
  const std::uint64_t block = block_of(operation);
  const std::vector<std::byte> own = scaled(operation, scatters ? block * ranks : block);
  const bool gets = operation.act != Act::reduce || comm.rank == operation.peer;
  std::vector<std::byte> all(gets ? block * ranks : 0);
  std::vector<Part> parts;
  for (int i = 0; i < comm.size; ++i) {
    if (operation.act != Act::reduce || i == operation.peer)
      add_message(parts, true, i,
                  own.data() + (scatters ? static_cast<std::uint64_t>(i) * block : 0), block);
    if (gets)
      add_message(parts, false, i, all.data() + static_cast<std::uint64_t>(i) * block, block);
  }
  if (!exchange(comm, std::move(parts))) return false;
  if (!gets) return true;
  static constexpr std::uint8_t kinds[] = {0, 1, 3, 2, 4};
  std::vector<const void*> sources;
  for (std::uint64_t i = 0; i < ranks; ++i) sources.push_back(all.data() + i * block);
  flagos::reduce({dtype_of(operation.type),
                  operation.op < first_made_op ? kinds[operation.op] : kinds[ncclSum], false},
                 static_cast<std::uint32_t>(ranks), sources.data(), nullptr,
                 static_cast<std::uint32_t>(ranks), operation.target, operation.count);
  return true;
}

bool move_between(const Operation& operation) {
  ncclComm& comm = *operation.comm;
  const std::uint64_t block = block_of(operation);
  std::vector<Part> parts;
  auto* const target = static_cast<std::byte*>(operation.target);
  for (int i = 0; i < comm.size; ++i) {
    if (operation.act == Act::all_gather) {
      add_message(parts, true, i, operation.source, block);
      add_message(parts, false, i, target + static_cast<std::uint64_t>(i) * block, block);
    } else if (comm.rank == operation.peer) {
      add_message(parts, true, i, operation.source, block);
    }
  }
  if (operation.act == Act::broadcast) add_message(parts, false, operation.peer, target, block);
  return exchange(comm, std::move(parts));
}

bool run(const Operation& operation) {
  switch (operation.act) {
    case Act::broadcast:
    case Act::all_gather:
      return move_between(operation);
    default:
      return reduce_between(operation);
  }
}

// In the communicator's turn. What was aborted is over at once.
void enqueue_turn(const CommRef& comm, CUstream stream, std::function<void()> work) {
  std::uint64_t turn = 0;
  {
    const std::lock_guard lock(comm->mutex);
    turn = comm->turns++;
  }
  enqueue(stream, {[comm, turn, work = std::move(work)] {
                     {
                       std::unique_lock lock(comm->mutex);
                       comm->changed.wait(
                           lock, [&] { return comm->turns_over == turn || comm->is_aborted; });
                     }
                     if (!comm->is_aborted) work();
                     const std::lock_guard lock(comm->mutex);
                     ++comm->turns_over;
                     comm->changed.notify_all();
                     return CUDA_SUCCESS;
                   },
                   true});
}

bool is_message(const Operation& operation) {
  return operation.act == Act::send || operation.act == Act::receive;
}

// Messages of one communicator on one stream move together; the rest one after the other.
void submit(std::vector<Operation> operations) {
  while (!operations.empty()) {
    const Operation first = operations.front();
    if (!is_message(first)) {
      enqueue_turn(first.comm, first.stream, [first] { run(first); });
      operations.erase(operations.begin());
      continue;
    }
    std::vector<Part> parts;
    const auto belongs = [&](const Operation& operation) {
      return is_message(operation) && operation.comm == first.comm &&
             operation.stream == first.stream;
    };
    for (const Operation& operation : operations)
      if (belongs(operation))
        add_message(parts, operation.act == Act::send, operation.peer,
                    operation.act == Act::send ? operation.source : operation.target,
                    block_of(operation));
    std::erase_if(operations, belongs);
    enqueue_turn(first.comm, first.stream, [comm = first.comm, parts] { exchange(*comm, parts); });
  }
}
// ---- groups -----------------------------------------------------------------------------------

struct Group {
  int depth = 0;
  std::vector<Operation> operations;
};
thread_local Group group;

ncclResult_t end_group() {
  std::vector<Operation> operations = std::exchange(group.operations, {});
  ncclResult_t result = ncclSuccess;
  for (const Operation& operation : operations) {
    if (operation.comm->is_blocking) continue;
    const std::lock_guard lock(operation.comm->mutex);
    operation.comm->shows_progress = true;
    result = ncclInProgress;
  }
  submit(std::move(operations));
  return result;
}
ncclResult_t call(Operation operation) {
  if (operation.comm == nullptr) return ncclInvalidArgument;
  ncclComm& comm = *operation.comm;
  const std::uint64_t block = block_of(operation), all = block * static_cast<unsigned>(comm.size);
  const bool is_root = comm.rank == operation.peer;
  if (operation.peer < 0 || operation.peer >= comm.size || dtype_of(operation.type) == 0 ||
      operation.op < 0 || operation.op >= first_made_op + static_cast<int>(comm.scales.size()))
    return ncclInvalidArgument;
  const std::uint64_t source =
      operation.act == Act::reduce_scatter                                             ? all
      : operation.act == Act::receive || (operation.act == Act::broadcast && !is_root) ? 0
                                                                                       : block;
  const std::uint64_t target =
      operation.act == Act::all_gather                                           ? all
      : operation.act == Act::send || (operation.act == Act::reduce && !is_root) ? 0
                                                                                 : block;
  if ((source != 0 && !is_reachable(operation.source, source)) ||
      (target != 0 && !is_reachable(operation.target, target)))
    return ncclInvalidArgument;
  if (block == 0) return ncclSuccess;
  group.operations.push_back(std::move(operation));
  return group.depth != 0 ? ncclSuccess : end_group();
}

}  // namespace

void add_message(std::vector<Part>& parts, bool is_send, int peer, const void* data,
                 std::uint64_t bytes) {
  parts.push_back({is_send, peer, static_cast<std::byte*>(const_cast<void*>(data)), bytes});
}

bool exchange(ncclComm& comm, std::vector<Part> parts) {
  move_own(parts, comm.rank);
  return comm.segment.exchange(std::move(parts), comm.is_aborted, comm.gone);
}

bool is_reachable(const void* pointer, std::uint64_t bytes) {
  Block block;
  bool known = false;
  return find(reinterpret_cast<CUdeviceptr>(pointer), bytes, &block, &known) && known;
}

}  // namespace flagos::nvidia::fake

using namespace flagos::nvidia;
using fake::Act;
using fake::CommRef;

FAKE_EXPORT ncclResult_t ncclRedOpCreatePreMulSum(ncclRedOp_t* op, void* scalar,
                                                  ncclDataType_t type, int residence,
                                                  ncclComm_t handle) try {
  FAKE_NCCL_CALL(ncclRedOpCreatePreMulSum);
  const CommRef comm = fake::find_comm(handle);
  if (comm == nullptr || residence != ncclScalarHostImmediate ||
      (type != ncclFloat32 && type != ncclFloat64))
    return ncclInvalidArgument;
  comm->scales.push_back(type == ncclFloat64 ? *static_cast<const double*>(scalar)
                                             : double{*static_cast<const float*>(scalar)});
  *op = fake::first_made_op + static_cast<int>(comm->scales.size()) - 1;
  return ncclSuccess;
}
FAKE_CATCH_NCCL

// The numbers stay: operations that were submitted may still read them.
FAKE_EXPORT ncclResult_t ncclRedOpDestroy(ncclRedOp_t, ncclComm_t) { return ncclSuccess; }

FAKE_EXPORT ncclResult_t ncclAllReduce(const void* source, void* target, std::size_t count,
                                       ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm,
                                       CUstream stream) try {
  FAKE_NCCL_CALL(ncclAllReduce);
  return fake::call(
      {Act::all_reduce, fake::find_comm(comm), stream, source, target, count, type, op});
}
FAKE_CATCH_NCCL

FAKE_EXPORT ncclResult_t ncclReduce(const void* source, void* target, std::size_t count,
                                    ncclDataType_t type, ncclRedOp_t op, int root, ncclComm_t comm,
                                    CUstream stream) try {
  FAKE_NCCL_CALL(ncclReduce);
  return fake::call(
      {Act::reduce, fake::find_comm(comm), stream, source, target, count, type, op, root});
}
FAKE_CATCH_NCCL

FAKE_EXPORT ncclResult_t ncclReduceScatter(const void* source, void* target, std::size_t count,
                                           ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm,
                                           CUstream stream) try {
  FAKE_NCCL_CALL(ncclReduceScatter);
  return fake::call(
      {Act::reduce_scatter, fake::find_comm(comm), stream, source, target, count, type, op});
}
FAKE_CATCH_NCCL

FAKE_EXPORT ncclResult_t ncclBroadcast(const void* source, void* target, std::size_t count,
                                       ncclDataType_t type, int root, ncclComm_t comm,
                                       CUstream stream) try {
  FAKE_NCCL_CALL(ncclBroadcast);
  return fake::call(
      {Act::broadcast, fake::find_comm(comm), stream, source, target, count, type, ncclSum, root});
}
FAKE_CATCH_NCCL

FAKE_EXPORT ncclResult_t ncclAllGather(const void* source, void* target, std::size_t count,
                                       ncclDataType_t type, ncclComm_t comm, CUstream stream) try {
  FAKE_NCCL_CALL(ncclAllGather);
  return fake::call({Act::all_gather, fake::find_comm(comm), stream, source, target, count, type});
}
FAKE_CATCH_NCCL

FAKE_EXPORT ncclResult_t ncclSend(const void* source, std::size_t count, ncclDataType_t type,
                                  int peer, ncclComm_t comm, CUstream stream) try {
  FAKE_NCCL_CALL(ncclSend);
  return fake::call(
      {Act::send, fake::find_comm(comm), stream, source, nullptr, count, type, ncclSum, peer});
}
FAKE_CATCH_NCCL

FAKE_EXPORT ncclResult_t ncclRecv(void* target, std::size_t count, ncclDataType_t type, int peer,
                                  ncclComm_t comm, CUstream stream) try {
  FAKE_NCCL_CALL(ncclRecv);
  return fake::call(
      {Act::receive, fake::find_comm(comm), stream, nullptr, target, count, type, ncclSum, peer});
}
FAKE_CATCH_NCCL

FAKE_EXPORT ncclResult_t ncclGroupStart() {
  ++fake::group.depth;
  return ncclSuccess;
}

FAKE_EXPORT ncclResult_t ncclGroupEnd() try {
  if (fake::group.depth == 0) return ncclInvalidUsage;
  return --fake::group.depth == 0 ? fake::end_group() : ncclSuccess;
}
FAKE_CATCH_NCCL
