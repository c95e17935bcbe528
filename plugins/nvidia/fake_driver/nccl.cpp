// The functions of NCCL: operations are tasks of streams, made of messages between the ranks.
#include <algorithm>
#include <cstring>
#include <list>
#include <numeric>

#include "base/reduce/reduce.hpp"
#include "base/thread.hpp"
#include "plugins/nvidia/fake_driver/fake.hpp"
#include "plugins/nvidia/fake_driver/nccl_segment.hpp"
#include "plugins/nvidia/nccl.hpp"

#define FAKE_CATCH_NCCL           \
  catch (const std::exception&) { \
    return ncclSystemError;       \
  }
#define FAKE_NCCL_CALL(name) \
  if (fake::begin(#name) != CUDA_SUCCESS) return ncclUnhandledCudaError

namespace flagos::nvidia {

struct ncclComm {
  fake::NcclSegment segment;
  int rank = 0, size = 0, device = 0;
  bool is_blocking = true;
  std::atomic<bool> is_aborted{false};
  std::atomic<int> gone{-1};  // a rank that was waited for and lives no more
  std::mutex mutex;
  std::condition_variable changed;
  std::uint64_t turns = 0,
                turns_over = 0;  // operations run one after the other, on whatever streams
  ncclResult_t state = ncclSuccess;
  bool shows_progress = false;  // the next question is answered with "in progress", as it may be
  std::string text;
  std::vector<double> scales;  // of reductions that were made
  std::thread job;             // joining, or splitting
};

namespace fake {
namespace {

using CommRef = std::shared_ptr<ncclComm>;
constexpr ncclRedOp_t first_made_op = 5;

struct Registry {
  std::mutex mutex;
  std::map<ncclComm_t, CommRef> live;
};
Registry& registry() {
  static auto* const all = new Registry;
  return *all;
}

CommRef find_comm(ncclComm_t comm) {
  const std::lock_guard lock(registry().mutex);
  const auto found = registry().live.find(comm);
  return found != registry().live.end() ? found->second : nullptr;
}

CommRef add(bool is_blocking, int rank, int size, int device) {
  auto comm = std::make_shared<ncclComm>();
  comm->is_blocking = is_blocking;
  comm->rank = rank;
  comm->size = size;
  comm->device = device;
  const std::lock_guard lock(registry().mutex);
  registry().live[comm.get()] = comm;
  count_object(1);
  return comm;
}

CommRef take(ncclComm_t comm) {
  const std::lock_guard lock(registry().mutex);
  const auto found = registry().live.find(comm);
  if (found == registry().live.end()) return nullptr;
  CommRef taken = std::move(found->second);
  registry().live.erase(found);
  count_object(-1);
  return taken;
}

void settle(ncclComm& comm, ncclResult_t state, const std::string& text) {
  const std::lock_guard lock(comm.mutex);
  comm.state = state;
  if (!text.empty()) comm.text = text;
  comm.changed.notify_all();
}

// Runs beside the caller where the communicator does not block; gives what the call returns.
ncclResult_t start_job(const CommRef& comm, std::function<void()> work) {
  if (comm->job.joinable()) comm->job.join();
  {
    const std::lock_guard lock(comm->mutex);
    comm->state = ncclInProgress;
  }
  comm->job = start_thread("fake-nccl", {}, std::move(work));
  if (!comm->is_blocking) return ncclInProgress;
  comm->job.join();
  return comm->state;
}

void join(ncclComm& comm, const std::string& id, const std::atomic<bool>& gives_up) {
  using Joined = NcclSegment::Joined;
  switch (comm.segment.join(id, comm.rank, comm.size, comm.device, gives_up)) {
    case Joined::yes:
      if (setting("FLAGOS_FAKE_NCCL_ONE_RANK_PER_DEVICE", 0) != 0 && comm.segment.shares_devices())
        return settle(comm, ncclInvalidUsage, "Duplicate GPU detected");
      return settle(comm, ncclSuccess, "");
    case Joined::no_such_id:
      return settle(comm, ncclSystemError, "nobody waits at the address of the id");
    case Joined::refused:
      return settle(comm, ncclInvalidArgument,
                    "a rank has joined twice, or the ranks say different sizes");
    case Joined::given_up:
      return settle(comm, ncclInternalError, "aborted");
  }
}

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

void add_message(std::vector<Part>& parts, bool is_send, int peer, const void* data,
                 std::uint64_t bytes) {
  parts.push_back({is_send, peer, static_cast<std::byte*>(const_cast<void*>(data)), bytes});
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

bool exchange(ncclComm& comm, std::vector<Part> parts) {
  move_own(parts, comm.rank);
  return comm.segment.exchange(std::move(parts), comm.is_aborted, comm.gone);
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

bool is_reachable(const void* pointer, std::uint64_t bytes) {
  Block block;
  bool known = false;
  return find(reinterpret_cast<CUdeviceptr>(pointer), bytes, &block, &known) && known;
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

// ---- splitting --------------------------------------------------------------------------------

struct Wish {
  int color, key, rank;
  char id[sizeof(ncclUniqueId)];
};

// All tell all; then the first of each color makes an id, and all tell all once more.
bool tell_all(ncclComm& comm, Wish own, std::vector<Wish>& all) {
  all.resize(static_cast<std::size_t>(comm.size));
  std::vector<Part> parts;
  for (int i = 0; i < comm.size; ++i) {
    add_message(parts, true, i, &own, sizeof(own));
    add_message(parts, false, i, &all[static_cast<std::size_t>(i)], sizeof(own));
  }
  return exchange(comm, std::move(parts));
}

std::vector<Wish> together_with(const Wish& own, std::vector<Wish> all) {
  std::erase_if(all, [&](const Wish& wish) { return wish.color != own.color; });
  std::stable_sort(all.begin(), all.end(),
                   [](const Wish& a, const Wish& b) { return a.key < b.key; });
  return all;
}

void split(ncclComm& parent, Wish own, bool is_blocking, ncclComm_t* out_part) {
  std::vector<Wish> all;
  bool is_fine = tell_all(parent, own, all);
  const auto mine = [&] { return together_with(own, all); };
  if (is_fine && own.color >= 0 && mine().front().rank == own.rank)
    NcclSegment::create().copy(own.id, sizeof(own.id) - 1);
  is_fine = is_fine && tell_all(parent, own, all);
  if (!is_fine) return settle(parent, ncclInternalError, "aborted");
  if (own.color >= 0) {
    const std::vector<Wish> members = mine();
    const auto at = std::find_if(members.begin(), members.end(),
                                 [&](const Wish& wish) { return wish.rank == own.rank; });
    const CommRef part = add(is_blocking, static_cast<int>(at - members.begin()),
                             static_cast<int>(members.size()), parent.device);
    join(*part, members.front().id, parent.is_aborted);
    *out_part = part.get();
  }
  const std::lock_guard lock(parent.mutex);
  ++parent.turns_over;
  parent.state = ncclSuccess;
  parent.changed.notify_all();
}

}  // namespace
}  // namespace fake
}  // namespace flagos::nvidia

using namespace flagos::nvidia;
using fake::Act;
using fake::CommRef;

FAKE_EXPORT ncclResult_t ncclGetVersion(int* version) {
  *version = static_cast<int>(fake::setting("FLAGOS_FAKE_NCCL_VERSION", 22800));
  return ncclSuccess;
}

FAKE_EXPORT const char* ncclGetErrorString(ncclResult_t result) {
  static constexpr const char* names[] = {
      "ncclSuccess",         "ncclUnhandledCudaError", "ncclSystemError", "ncclInternalError",
      "ncclInvalidArgument", "ncclInvalidUsage",       "ncclRemoteError", "ncclInProgress"};
  return result >= 0 && result <= ncclInProgress ? names[result] : "unknown result code";
}

FAKE_EXPORT const char* ncclGetLastError(ncclComm_t handle) try {
  thread_local std::string text;
  const CommRef comm = fake::find_comm(handle);
  if (comm == nullptr) return "";
  const std::lock_guard lock(comm->mutex);
  text = comm->text;
  return text.c_str();
} catch (const std::exception&) {
  return "";
}

FAKE_EXPORT ncclResult_t ncclGetUniqueId(ncclUniqueId* id) try {
  FAKE_NCCL_CALL(ncclGetUniqueId);
  *id = {};
  const std::string path = fake::NcclSegment::create();
  if (path.empty()) return ncclSystemError;
  path.copy(id->internal, sizeof(id->internal) - 1);
  return ncclSuccess;
}
FAKE_CATCH_NCCL

FAKE_EXPORT ncclResult_t ncclCommInitRankConfig(ncclComm_t* out, int size, ncclUniqueId id,
                                                int rank, ncclConfig_t* config) try {
  FAKE_NCCL_CALL(ncclCommInitRankConfig);
  *out = nullptr;
  if (fake::current() == nullptr) return ncclUnhandledCudaError;
  if (size < 1 || size > fake::NcclSegment::most_ranks || rank < 0 || rank >= size ||
      config->magic != 0xcafebeef || config->size < sizeof(ncclConfig_t))
    return ncclInvalidArgument;
  const CommRef comm = fake::add(config->blocking != 0, rank, size, fake::current()->device);
  *out = comm.get();
  id.internal[sizeof(id.internal) - 1] = '\0';
  ncclComm* const raw = comm.get();
  return fake::start_job(
      comm, [raw, path = std::string(id.internal)] { fake::join(*raw, path, raw->is_aborted); });
}
FAKE_CATCH_NCCL

FAKE_EXPORT ncclResult_t ncclCommSplit(ncclComm_t handle, int color, int key, ncclComm_t* out,
                                       ncclConfig_t* config) try {
  FAKE_NCCL_CALL(ncclCommSplit);
  const CommRef comm = fake::find_comm(handle);
  if (comm == nullptr || color < NCCL_SPLIT_NOCOLOR) return ncclInvalidArgument;
  *out = nullptr;
  ncclComm* const raw = comm.get();
  std::uint64_t turn = 0;
  {
    const std::lock_guard lock(comm->mutex);
    turn = comm->turns++;
  }
  const bool is_blocking = config->blocking != 0;
  return fake::start_job(comm, [=] {
    {
      std::unique_lock lock(raw->mutex);
      raw->changed.wait(lock, [&] { return raw->turns_over == turn || raw->is_aborted; });
    }
    fake::split(*raw, {color, key, raw->rank, {}}, is_blocking, out);
  });
}
FAKE_CATCH_NCCL

FAKE_EXPORT ncclResult_t ncclCommGetAsyncError(ncclComm_t handle, ncclResult_t* error) try {
  const CommRef comm = fake::find_comm(handle);
  if (comm == nullptr) return ncclInvalidArgument;
  const std::lock_guard lock(comm->mutex);
  if (const int gone = comm->gone; gone >= 0 && comm->state == ncclSuccess) {
    comm->state = ncclRemoteError;
    comm->text = "rank " + std::to_string(gone) + " has closed its connection";
  }
  *error = comm->state;
  if (comm->state == ncclSuccess && std::exchange(comm->shows_progress, false))
    *error = ncclInProgress;
  return ncclSuccess;
}
FAKE_CATCH_NCCL

FAKE_EXPORT ncclResult_t ncclCommCount(ncclComm_t handle, int* count) try {
  const CommRef comm = fake::find_comm(handle);
  if (comm == nullptr) return ncclInvalidArgument;
  *count = comm->size;
  return ncclSuccess;
}
FAKE_CATCH_NCCL

FAKE_EXPORT ncclResult_t ncclCommUserRank(ncclComm_t handle, int* rank) try {
  const CommRef comm = fake::find_comm(handle);
  if (comm == nullptr) return ncclInvalidArgument;
  *rank = comm->rank;
  return ncclSuccess;
}
FAKE_CATCH_NCCL

// In progress until all operations are over.
FAKE_EXPORT ncclResult_t ncclCommFinalize(ncclComm_t handle) try {
  const CommRef comm = fake::find_comm(handle);
  if (comm == nullptr) return ncclInvalidArgument;
  ncclComm* const raw = comm.get();
  return fake::start_job(comm, [raw] {
    std::unique_lock lock(raw->mutex);
    raw->changed.wait(lock, [&] { return raw->turns_over == raw->turns || raw->is_aborted; });
    raw->state = ncclSuccess;
  });
}
FAKE_CATCH_NCCL

FAKE_EXPORT ncclResult_t ncclCommAbort(ncclComm_t handle) try {
  const CommRef comm = fake::take(handle);
  if (comm == nullptr) return ncclInvalidArgument;
  {
    const std::lock_guard lock(comm->mutex);
    comm->is_aborted = true;
    comm->changed.notify_all();
  }
  if (comm->job.joinable()) comm->job.join();
  comm->segment.leave();
  return ncclSuccess;
}
FAKE_CATCH_NCCL

FAKE_EXPORT ncclResult_t ncclCommDestroy(ncclComm_t handle) try {
  const CommRef comm = fake::find_comm(handle);
  if (comm == nullptr) return ncclInvalidArgument;
  {
    std::unique_lock lock(comm->mutex);
    comm->changed.wait(lock, [&] { return comm->turns_over == comm->turns; });
  }
  return ncclCommAbort(handle);
}
FAKE_CATCH_NCCL

FAKE_EXPORT ncclResult_t ncclCommRegister(ncclComm_t handle, void* pointer, std::size_t size,
                                          void** out) try {
  FAKE_NCCL_CALL(ncclCommRegister);
  if (fake::find_comm(handle) == nullptr || !fake::is_reachable(pointer, size))
    return ncclInvalidArgument;
  fake::count_object(1);
  *out = pointer;
  return ncclSuccess;
}
FAKE_CATCH_NCCL

FAKE_EXPORT ncclResult_t ncclCommDeregister(ncclComm_t handle, void*) try {
  if (fake::find_comm(handle) == nullptr) return ncclInvalidArgument;
  fake::count_object(-1);
  return ncclSuccess;
}
FAKE_CATCH_NCCL

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
