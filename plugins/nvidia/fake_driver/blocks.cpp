// Runs the blocks of a launch: a thread of the system runs a block, one of its threads after the other up to where it
// waits for the others.
#include <sys/mman.h>

#include <algorithm>
#include <new>

#include "base/thread.hpp"
#include "plugins/nvidia/fake_driver/fake.hpp"
#include "plugins/nvidia/fake_driver/fiber.hpp"

namespace flagos::nvidia::fake {
namespace {

constexpr unsigned most_threads = 1024;
constexpr unsigned warp_size = 32;
constexpr std::size_t most_shared_bytes = 256 << 10;
constexpr int helper_count = 3;  // beside the stream's own thread: four blocks at once

enum class State { fresh, ready, in_block_wait, in_warp_wait, done };

struct Lane {
  flagos_fake_thread abi{};
  State state = State::fresh;
  void* place = nullptr;  // where it goes on
  unsigned stack = 0;     // of the runner's
  unsigned answer = 0;    // to its wait
};

// What a thread of the system needs to run blocks; made when it first runs one.
class Runner {
 public:
  Runner()
      : stacks_(static_cast<std::byte*>(mmap(nullptr, most_threads * stack_bytes,
                                             PROT_READ | PROT_WRITE,
                                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))),
        shared_(static_cast<std::byte*>(mmap(nullptr, most_shared_bytes, PROT_READ | PROT_WRITE,
                                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))),
        lanes_(most_threads),
        exchange_(most_threads) {
    free_stacks_.reserve(most_threads);
    if (stacks_ == MAP_FAILED || shared_ == MAP_FAILED) throw std::bad_alloc();
  }
  ~Runner() {
    munmap(stacks_, most_threads * stack_bytes);
    munmap(shared_, most_shared_bytes);
  }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  CUresult run_block(const Launch& launch, std::uint64_t number);

 private:
  void prepare(const Launch& launch, std::uint64_t number);
  void prepare_shape(const Launch& launch);
  unsigned take_stack();
  void resume(unsigned index);
  bool release();
  void leave(State state);
  static void enter();
  static unsigned wait(flagos_fake_thread* self, int warp);
  static void trap(flagos_fake_thread* self, int code);

  std::byte* const stacks_;
  std::byte* const shared_;
  std::vector<Lane> lanes_;
  std::vector<unsigned long long> exchange_;
  std::vector<unsigned> free_stacks_;  // that were used in this block; the others follow
  unsigned fresh_stacks_ = 0;
  unsigned block_[3] = {}, grid_[3] = {};  // what the lanes are prepared for
  const Launch* launch_ = nullptr;
  flagos_fake_thread** slot_ = nullptr;
  unsigned count_ = 0, running_ = 0, live_ = 0;
  void* scheduler_ = nullptr;
  CUresult failure_ = CUDA_SUCCESS;
};

thread_local std::shared_ptr<Runner> this_runner;

void Runner::prepare(const Launch& launch, std::uint64_t number) {
  launch_ = &launch;
  slot_ = launch.slot();
  failure_ = CUDA_SUCCESS;
  free_stacks_.clear();
  fresh_stacks_ = 0;
  if (!std::equal(launch.block, launch.block + 3, block_) ||
      !std::equal(launch.grid, launch.grid + 3, grid_))
    prepare_shape(launch);
  live_ = count_;
  const std::uint64_t x = number % launch.grid[0], rest = number / launch.grid[0];
  const flagos_fake_dim3 place = {static_cast<unsigned>(x),
                                  static_cast<unsigned>(rest % launch.grid[1]),
                                  static_cast<unsigned>(rest / launch.grid[1])};
  for (unsigned i = 0; i < count_; ++i) {
    lanes_[i].state = State::fresh;
    lanes_[i].abi.block = place;
  }
}

// What the blocks of a launch share.
void Runner::prepare_shape(const Launch& launch) {
  std::copy_n(launch.block, 3, block_);
  std::copy_n(launch.grid, 3, grid_);
  count_ = launch.block[0] * launch.block[1] * launch.block[2];
  for (unsigned i = 0; i < count_; ++i) {
    Lane& lane = lanes_[i];
    lane.abi.thread = {i % launch.block[0], i / launch.block[0] % launch.block[1],
                       i / launch.block[0] / launch.block[1]};
    lane.abi.block_dim = {launch.block[0], launch.block[1], launch.block[2]};
    lane.abi.grid_dim = {launch.grid[0], launch.grid[1], launch.grid[2]};
    lane.abi.shared = shared_;
    lane.abi.lane = i % warp_size;
    lane.abi.exchange = &exchange_[i / warp_size * warp_size];
    lane.abi.wait = wait;
    lane.abi.trap = trap;
  }
}

CUresult Runner::run_block(const Launch& launch, std::uint64_t number) {
  prepare(launch, number);
  while (live_ != 0 && failure_ == CUDA_SUCCESS) {
    for (unsigned i = 0; i < count_ && failure_ == CUDA_SUCCESS; ++i)
      if (lanes_[i].state == State::fresh || lanes_[i].state == State::ready) resume(i);
    if (live_ != 0 && failure_ == CUDA_SUCCESS && !release()) failure_ = CUDA_ERROR_LAUNCH_FAILED;
  }
  return failure_;
}

void Runner::resume(unsigned index) {
  Lane& lane = lanes_[index];
  if (lane.state == State::fresh) {
    lane.stack = take_stack();
    lane.place = make_fiber(stacks_ + (lane.stack + 1) * stack_bytes, enter);
  }
  running_ = index;
  *slot_ = &lane.abi;
  switch_to(&scheduler_, lane.place);
}

unsigned Runner::take_stack() {
  if (free_stacks_.empty()) return fresh_stacks_++;
  const unsigned stack = free_stacks_.back();
  free_stacks_.pop_back();
  return stack;
}

// Lets those go on that all have come for. False when none can.
bool Runner::release() {
  bool any = false;
  unsigned in_block_wait = 0;
  for (unsigned first = 0; first < count_; first += warp_size) {
    unsigned live = 0, waiting = 0, present = 0;
    for (unsigned i = first; i < std::min(first + warp_size, count_); ++i) {
      const State state = lanes_[i].state;
      in_block_wait += state == State::in_block_wait;
      live += state != State::done;
      waiting += state == State::in_warp_wait;
      if (state == State::in_warp_wait) present |= 1u << (i - first);
    }
    if (waiting == 0 || waiting != live) continue;
    any = true;
    for (unsigned i = first; i < std::min(first + warp_size, count_); ++i) {
      if (lanes_[i].state != State::in_warp_wait) continue;
      lanes_[i].state = State::ready;
      lanes_[i].answer = present;
    }
  }
  if (any || in_block_wait != live_) return any;
  for (unsigned i = 0; i < count_; ++i)
    if (lanes_[i].state == State::in_block_wait) lanes_[i].state = State::ready;
  return true;
}

void Runner::leave(State state) {
  Lane& lane = lanes_[running_];
  lane.state = state;
  switch_to(&lane.place, scheduler_);
}

// The first thing on a new stack: a thread, and those behind it that have not begun, as long as each gets to its end.
void Runner::enter() {
  Runner& self = *this_runner;
  const auto call = self.launch_->kernel->call;
  const unsigned char* const arguments = self.launch_->arguments.data();
  const unsigned stack = self.lanes_[self.running_].stack;
  for (;;) {
    call(arguments);
    --self.live_;
    const unsigned next = self.running_ + 1;
    if (next == self.count_ || self.lanes_[next].state != State::fresh) break;
    self.lanes_[self.running_].state = State::done;
    self.lanes_[next].stack = stack;
    self.running_ = next;
    *self.slot_ = &self.lanes_[next].abi;
  }
  self.free_stacks_.push_back(stack);
  self.leave(State::done);
}

unsigned Runner::wait(flagos_fake_thread*, int warp) {
  Runner& self = *this_runner;
  Lane& lane = self.lanes_[self.running_];
  self.leave(warp != 0 ? State::in_warp_wait : State::in_block_wait);
  return lane.answer;
}

void Runner::trap(flagos_fake_thread*, int code) {
  this_runner->failure_ = code;
  this_runner->leave(State::done);
}

}  // namespace

// A launch under way: whoever has time takes its next block.
class Grid {
 public:
  explicit Grid(std::shared_ptr<const Launch> launch)
      : launch_(std::move(launch)),
        count_(std::uint64_t{launch_->grid[0]} * launch_->grid[1] * launch_->grid[2]) {}

  std::uint64_t count() const { return count_; }
  const Launch& launch() const { return *launch_; }

  void work() {
    for (std::uint64_t number = next_++; number < count_; number = next_++) {
      const CUresult result =
          failure_ == CUDA_SUCCESS ? this_runner->run_block(*launch_, number) : CUDA_SUCCESS;
      CUresult none = CUDA_SUCCESS;
      if (result != CUDA_SUCCESS) failure_.compare_exchange_strong(none, result);
      const std::lock_guard lock(mutex_);
      if (++finished_ == count_) over_.notify_all();
    }
  }
  CUresult wait() {
    std::unique_lock lock(mutex_);
    over_.wait(lock, [&] { return finished_ == count_; });
    return failure_;
  }

 private:
  const std::shared_ptr<const Launch> launch_;
  const std::uint64_t count_;
  std::atomic<std::uint64_t> next_{0};
  std::atomic<CUresult> failure_{CUDA_SUCCESS};
  std::mutex mutex_;
  std::condition_variable over_;
  std::uint64_t finished_ = 0;
};

// Where there is no memory for it the stream's own thread does all.
void Helpers::help(const std::shared_ptr<Grid>& grid) noexcept {
  const std::lock_guard lock(mutex_);
  try {
    threads_.reserve(helper_count);
    for (int i = 0; i < helper_count; ++i) {
      if (threads_.size() < helper_count)
        threads_.push_back(start_thread("fake-cuda-sm", {}, [this, runner = make_runner()] {
          use_runner(runner);
          work();
        }));
      grids_.push_back(grid);
    }
  } catch (const std::exception&) {
  }
  changed_.notify_all();
}

void Helpers::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return ending_ || !grids_.empty(); });
    if (grids_.empty()) return;
    const std::shared_ptr<Grid> grid = std::move(grids_.front());
    grids_.pop_front();
    lock.unlock();
    grid->work();
    lock.lock();
  }
}

Helpers::~Helpers() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

std::shared_ptr<Grid> make_grid(std::shared_ptr<const Launch> launch) {
  return std::make_shared<Grid>(std::move(launch));
}

namespace {

std::uint64_t product(const unsigned (&sizes)[3]) {
  return std::uint64_t{sizes[0]} * sizes[1] * sizes[2];
}

// The number of a block among those of its grid: the `index`-th of the `unit`-th set that runs at once.
std::uint64_t block_of(const Launch& launch, std::uint64_t unit, std::uint64_t index) {
  std::uint64_t at[3];
  for (int i = 0; i < 3; ++i) {
    const std::uint64_t units = launch.grid[i] / launch.together[i];
    at[i] = unit % units * launch.together[i] + index % launch.together[i];
    unit /= units;
    index /= launch.together[i];
  }
  return (at[2] * launch.grid[1] + at[1]) * launch.grid[0] + at[0];
}

// Blocks that may wait for each other: each on a thread of its own, all of which are there before one begins.
class Unit {
 public:
  Unit(const Launch& launch, std::uint64_t number) : launch_(launch), number_(number) {}

  CUresult run() {
    const std::uint64_t count = product(launch_.together);
    std::vector<std::thread> threads;
    Point begin;
    try {
      for (std::uint64_t i = 1; i < count; ++i)
        threads.push_back(
            start_thread("fake-cuda-block", {}, [this, i, &begin, runner = make_runner()] {
              use_runner(runner);
              begin.wait();
              if (failure_ == CUDA_SUCCESS) run_block(i);
            }));
    } catch (const std::exception&) {
      failure_ = CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
    }
    begin.pass();
    if (failure_ == CUDA_SUCCESS) run_block(0);
    for (std::thread& thread : threads) thread.join();
    return failure_;
  }

 private:
  void run_block(std::uint64_t index) {
    const CUresult result = this_runner->run_block(launch_, block_of(launch_, number_, index));
    CUresult none = CUDA_SUCCESS;
    if (result != CUDA_SUCCESS) failure_.compare_exchange_strong(none, result);
  }

  const Launch& launch_;
  const std::uint64_t number_;
  std::atomic<CUresult> failure_{CUDA_SUCCESS};
};

CUresult run_units(const Launch& launch) {
  const std::uint64_t units = product(launch.grid) / product(launch.together);
  CUresult result = CUDA_SUCCESS;
  for (std::uint64_t unit = 0; unit < units && result == CUDA_SUCCESS; ++unit)
    result = Unit(launch, unit).run();
  return result;
}

}  // namespace

CUresult run(CUcontext context, const std::shared_ptr<Grid>& grid) {
  if (product(grid->launch().together) > 1) return run_units(grid->launch());
  if (grid->count() > 1) {
    {
      const std::lock_guard lock(context->mutex);
      if (!context->helpers) context->helpers.reset(new (std::nothrow) Helpers);
    }
    if (context->helpers) context->helpers->help(grid);
  }
  grid->work();
  return grid->wait();
}

std::shared_ptr<void> make_runner() { return std::make_shared<Runner>(); }

void use_runner(std::shared_ptr<void> runner) noexcept {
  this_runner = std::static_pointer_cast<Runner>(std::move(runner));
}

}  // namespace flagos::nvidia::fake
