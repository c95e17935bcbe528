// A libcuda on host memory: what its objects are. Streams are threads, kernels are functions that the host's compiler made
// (twin.hpp), memory is the host's. What a real driver would refuse is refused: a wrong current context, ranges past an
// allocation, copies that overlap. Used only where FLAGOS_NVIDIA_DRIVER names it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "plugins/nvidia/cuda.hpp"
#include "plugins/nvidia/fake_driver/twin_abi.hpp"

#define FAKE_EXPORT extern "C" __attribute__((visibility("default")))

// Nothing is thrown at those who call from C.
#define FAKE_CATCH                   \
  catch (const std::exception&) {    \
    return CUDA_ERROR_OUT_OF_MEMORY; \
  }
#define FAKE_CATCH_NVRTC              \
  catch (const std::exception&) {     \
    return NVRTC_ERROR_OUT_OF_MEMORY; \
  }

// Every entry that can fail begins with one of these. The second one is for entries that work in the current context.
#define FAKE_CALL(name) \
  if (const CUresult fault = fake::begin(#name); fault != CUDA_SUCCESS) return fault
#define FAKE_CONTEXT_CALL(name)        \
  CUcontext context = fake::current(); \
  if (const CUresult fault = fake::begin(#name, context); fault != CUDA_SUCCESS) return fault

// For entries that free or destroy, which never fail for the sake of a test.
#define FAKE_NEEDS_CONTEXT() \
  if (fake::current() == nullptr) return CUDA_ERROR_INVALID_CONTEXT
#define FAKE_LIVE(handle) fake::check_live(handle, __func__)

namespace flagos::nvidia {

namespace fake {

constexpr int most_devices = 16;
constexpr unsigned multiprocessors = 4;
int capability();  // 80 is compute capability 8.0

// ---- faults.cpp ----

// Counts the call, and gives what it has to fail with.
CUresult begin(const char* function);
CUresult begin(const char* function, CUcontext context);
void count_object(int change);
// Objects by their handles. What is used when it is gone ends the process: with a driver it would end anyhow.
void enter(const void* handle);
void leave(const void* handle, const char* call);
void check_live(const void* handle, const char* call);  // NULL may be given
std::uint64_t setting(const char* name, std::uint64_t fallback);

// ---- what streams do ----

// A point in a stream, which is passed once.
class Point {
 public:
  void pass();
  bool is_passed() const;
  void wait() const;
  std::uint64_t time_ns() const;

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  bool passed_ = false;
  std::uint64_t time_ns_ = 0;
};

struct Task {
  std::function<CUresult()> run;  // what it gives, unless success, is the context's error for good
  bool always = false;            // also when the context has an error
};

std::uint64_t now_ns();
void enqueue(CUstream stream, Task task);
void drain(CUstream stream);  // waits for all that is in it now

// ---- memory.cpp ----

enum class Kind { device, host, managed, registered, mapped };
struct Block {
  std::uint64_t base = 0, size = 0;
  Kind kind = Kind::device;
  int device = 0;
  CUcontext context = nullptr;
  CUmemoryPool pool = nullptr;
};
// Whether the range lies in one allocation (true, and which), or outside of all (true, and none). False: past its end.
bool find(CUdeviceptr address, std::uint64_t size, Block* out_block, bool* out_known);
void add_block(const Block& block);
// Takes the block that begins there and is of one of the kinds.
bool take_block(std::uint64_t base, std::initializer_list<Kind> kinds, Block* out_block);
// Of what a device has; false where it has less left.
bool reserve_bytes(int device, std::uint64_t size);
void give_back_bytes(int device, std::uint64_t size);

// ---- blocks.cpp ----

struct Launch {
  const flagos_fake_kernel* kernel;
  flagos_fake_thread** (*slot)();
  unsigned grid[3], block[3];
  unsigned shared_bytes;
  unsigned together[3] = {1, 1, 1};  // blocks that run at once: a cluster, or all
  std::vector<unsigned char> arguments;
};
class Grid;  // a launch under way
std::shared_ptr<Grid> make_grid(std::shared_ptr<const Launch> launch);
CUresult run(CUcontext context, const std::shared_ptr<Grid>& grid);
// What a thread needs to run blocks: made before there is the thread, which has nobody to tell that memory is short.
std::shared_ptr<void> make_runner();
void use_runner(std::shared_ptr<void> runner) noexcept;
// In module.cpp: what cuLaunchKernel and nodes of graphs are given, checked.
CUresult make_launch(CUfunction function, const unsigned (&grid)[3], const unsigned (&block)[3],
                     unsigned shared_bytes, void** params, void** extra,
                     std::shared_ptr<Launch>* out_launch);
// What an attribute of a launch asks for.
CUresult apply(int attribute, const CUlaunchAttributeValue& value, CUfunction function,
               Launch& launch);

// Threads that help with the blocks of launches, one set for a context.
class Helpers {
 public:
  ~Helpers();
  void help(const std::shared_ptr<Grid>& grid) noexcept;

 private:
  void work();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Grid>> grids_;
  std::vector<std::thread> threads_;
  bool ending_ = false;
};

// ---- context.cpp ----

CUcontext current();

}  // namespace fake

struct CUctx_st {
  int device = 0;
  int references = 0;
  bool is_primary = true;
  std::atomic<CUresult> error{CUDA_SUCCESS};
  std::atomic<bool> is_ending{false};
  std::mutex mutex;
  std::vector<std::shared_ptr<CUstream_st>> streams;  // alive, or ending
  std::set<int> peers;                                // devices whose memory it may reach
  std::unique_ptr<fake::Helpers> helpers;
};

struct CUstream_st {
  CUcontext context = nullptr;
  int priority = 0;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<fake::Task> tasks;
  std::uint64_t submitted = 0, finished = 0;
  bool is_ending = false, is_over = false;
  std::shared_ptr<void> runner;
  std::thread thread;
};

struct CUevent_st {
  CUcontext context = nullptr;
  unsigned flags = 0;
  std::mutex mutex;
  std::shared_ptr<fake::Point> point;
};

struct CUfunc_st {
  CUmodule module = nullptr;
  const flagos_fake_kernel* kernel = nullptr;
  int max_dynamic_shared = 48 << 10;
};

struct CUmod_st {
  CUcontext context = nullptr;
  void* library = nullptr;
  int fd = -1;
  const flagos_fake_module* image = nullptr;
  std::map<std::string, std::uint64_t> variables;  // sizes
  std::deque<CUfunc_st> functions;
};

}  // namespace flagos::nvidia
