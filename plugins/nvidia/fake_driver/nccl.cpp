// The functions of NCCL: communicators. Their operations are in nccl_operations.cpp.
#include <algorithm>

#include "base/thread.hpp"
#include "plugins/nvidia/fake_driver/nccl_comm.hpp"

namespace flagos::nvidia::fake {
namespace {

struct Registry {
  std::mutex mutex;
  std::map<ncclComm_t, CommRef> live;
};
Registry& registry() {
  static auto* const all = new Registry;
  return *all;
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

CommRef find_comm(ncclComm_t comm) {
  const std::lock_guard lock(registry().mutex);
  const auto found = registry().live.find(comm);
  return found != registry().live.end() ? found->second : nullptr;
}

}  // namespace flagos::nvidia::fake

using namespace flagos::nvidia;
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
