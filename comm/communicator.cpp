#include "comm/communicator.hpp"

#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <shared_mutex>

#include "base/fence.hpp"
#include "base/guard.hpp"
#include "base/thread.hpp"
#include "comm/gather.hpp"

namespace flagos::comm {
namespace {

// A caller finishes operations up to this size itself when the other ranks are there already.
constexpr std::uint64_t here_bytes = 64 << 10;
constexpr std::uint64_t here_ns = 100'000;  // more than waking a thread takes
constexpr std::uint32_t most_misses = 4;
constexpr std::uint64_t meeting_every = 16;
constexpr std::uint64_t slow_yield_ns = 100'000;
constexpr std::uint32_t most_slow_yields = 64;

std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

bool wants_plans() {
  static const bool wants = [] {
    const char* const value = secure_getenv("FLAGOS_COMM_DEBUG");
    return value != nullptr && std::strcmp(value, "plan") == 0;
  }();
  return wants;
}

// Streams and graphs know operations by address, also when their communicator has gone. Callbacks hold this shared while
// they look at the owner; a communicator that goes holds it alone.
std::shared_mutex& owners_mutex() {
  static std::shared_mutex* const mutex = new std::shared_mutex;
  return *mutex;
}
// Operations that outlive their communicator, for ever: a graph may be launched at any time.
std::vector<std::unique_ptr<Operation>>& orphans() {
  static auto* const list = new std::vector<std::unique_ptr<Operation>>;
  return *list;
}

std::uint64_t bytes_of(const Request& request) {
  const std::uint64_t width = dtype_bytes(request.dtype);
  std::uint64_t count = request.count;
  for (const std::uint64_t block : request.source_counts) count += block;
  for (const std::uint64_t block : request.target_counts) count += block;
  std::uint64_t bytes = count * width;
  for (const Message& message : request.messages)
    bytes += message.count * dtype_bytes(message.dtype);
  return bytes;
}

}  // namespace

// ---- life --------------------------------------------------------------------------------------------------------

Communicator::Communicator(flagos_device_t* device, std::uint32_t rank, std::uint32_t size,
                           const Config& config)
    : device_(device),
      rank_(rank),
      size_(size),
      config_(config),
      segment_(Segment::create(rank, size)),
      peers_(size),
      one_sided_peers_(size),
      staging_(device, segment_, size, 0, Segment::collective_slots),
      one_sided_staging_(device, segment_, size, Segment::collective_slots,
                         Segment::slot_count - Segment::collective_slots),
      one_sided_(rank, one_sided_peers_, one_sided_staging_),
      execution_(rank, peers_, staging_, one_sided_),
      blame_(rank, one_sided_peers_) {
  if (config.deterministic && size > most_sorted_sources)
    throw_error(FLAGOS_STATUS_UNSUPPORTED,
                "the deterministic mode is for up to {} ranks; there are {}", most_sorted_sources,
                size);
  for (std::uint32_t i = 0; i < size; ++i) {
    peers_[i].rank = one_sided_peers_[i].rank = i;
    peers_[i].segment = one_sided_peers_[i].segment = segment_;
  }
  // So many wait at once without that memory is allocated.
  for (int i = 0; i < 16; ++i) add_operation();
  expect(flagos_timeline_create(device, 0, &timeline_));
}

void Communicator::add_operation() {
  operations_.push_back(std::make_unique<Operation>());
  Operation& operation = *operations_.back();
  Request& request = operation.request;
  for (auto* array : {&request.source_counts, &request.source_offsets, &request.target_counts,
                      &request.target_offsets})
    array->reserve(size_);
  operation.next = std::exchange(free_, &operation);
}

void Communicator::connect(std::uint32_t rank, std::shared_ptr<Segment> segment) {
  const SegmentName& name = segment->name();
  const bool same_process = Segment::same_process(name);
  const auto join = [&](Peer& peer, std::uint32_t lane) {
    peer.segment = segment;
    peer.out = &segment_->ring(rank, lane);
    peer.in = &segment->ring(rank_, lane);
    peer.takes_pointers = peer.gives_pointers = same_process;
  };
  join(peers_[rank], 0);
  join(one_sided_peers_[rank], 1);
  if (!same_process) peers_[rank].process = static_cast<int>(syscall(SYS_pidfd_open, name.pid, 0));
  ++local_size_;
}

void Communicator::connect(std::uint32_t rank, Socket socket, std::uint32_t lane) {
  if (network_ == nullptr) network_ = std::make_unique<TcpTransport>(rank_, size_, segment_);
  Peer& peer = (lane == 0 ? peers_ : one_sided_peers_)[rank];
  peer.segment = network_->add(rank, std::move(socket), lane);
  peer.out = &segment_->ring(rank, lane);
  peer.in = &peer.segment->ring(rank_, lane);
  peer.takes_pointers = true;
  peer.doorbell = network_->doorbell();
  peer.sleeping = &network_->sleeping();
}

void Communicator::use(std::unique_ptr<UcxWorker> worker) {
  if (network_ == nullptr) network_ = std::make_unique<TcpTransport>(rank_, size_, segment_);
  network_->use(std::move(worker));
}

void Communicator::make_native() {
  std::string reason;
  native_owner_ = Native::make(*this, reason, clusters_owner_);
  native_.store(native_owner_.get(), std::memory_order_release);
  clusters_.store(clusters_owner_.get(), std::memory_order_release);
  if (!wants_plans()) return;
  if (clusters() != nullptr && clusters()->native != nullptr && clusters()->place == 0)
    std::fprintf(stderr, "flagos comm: %s: native collectives of %s within a cluster\n",
                 clusters()->own_ranks().c_str(), clusters()->native->plugin().c_str());
  if (rank_ != 0) return;
  std::fprintf(stderr, "flagos comm: %u ranks: %s%s\n", size_,
               native() != nullptr ? "native collectives of " : "no native collectives: ",
               native() != nullptr ? native()->plugin().c_str() : reason.c_str());
}

void Communicator::start() {
  if (network_ != nullptr) network_->start();
  thread_ = start_thread(fmt::format("flagos-comm-{}", rank_), {}, [this] { work(); });
}

void Communicator::open(Topology topology) {
  if (wants_plans() && rank_ == 0) print_topology(topology);
  {
    std::lock_guard engine(engine_mutex_);
    execution_.set_topology(std::move(topology));
  }
  is_open_.store(true, std::memory_order_release);
}

void Communicator::make_later(std::function<void()> make) {
  maker_ = start_thread(fmt::format("flagos-make-{}", rank_), {}, [this, make = std::move(make)] {
    static_cast<void>(
        guard(make, [this](flagos_status_t status, const char* text) { fail(status, text); }));
  });
}

void Communicator::finish() {
  if (maker_.joinable()) maker_.join();
  const flagos_status_t done =
      guard([&] { synchronize(FLAGOS_TIMEOUT_INFINITE); }, [](flagos_status_t, const char*) {});
  static_cast<void>(done);  // a failed communicator has no operations that run
}

Communicator::~Communicator() {
  if (maker_.joinable()) maker_.join();
  if (thread_.joinable()) {
    std::unique_lock lock(owners_mutex());
    for (const auto& operation : operations_) operation->owner = nullptr;
  }
  // Graphs that are at an operation of this communicator now.
  if (visitors_.load(std::memory_order_acquire) != 0) {
    fail(FLAGOS_STATUS_COMM_ABORTED,
         fmt::format("rank {} destroyed the communicator while a graph used it", rank_));
    while (visitors_.load(std::memory_order_acquire) != 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  stop_.store(true, std::memory_order_release);
  segment_->head().bell.ring_always();
  if (thread_.joinable()) thread_.join();
  network_.reset();
  segment_->head().closed.store(1, std::memory_order_release);
  for (Peer& peer : peers_) {
    if (peer.rank != rank_ && peer.segment != nullptr) peer.segment->head().bell.ring_always();
    if (peer.process >= 0) close(peer.process);
  }
  flagos_timeline_destroy(timeline_);
  std::unique_lock lock(owners_mutex());
  for (auto& operation : operations_)
    if (operation->recorded || operation->awaited) orphans().push_back(std::move(operation));
}

// ---- calls -------------------------------------------------------------------------------------------------------

void Communicator::List::push(Operation& operation) {
  operation.next = nullptr;
  (first == nullptr ? first : last->next) = &operation;
  last = &operation;
}

void Communicator::List::pop() {
  first = first->next;
  if (first == nullptr) last = nullptr;
}

void Communicator::List::remove(Operation& operation) {
  if (first == &operation) return pop();
  Operation* before = first;
  while (before != nullptr && before->next != &operation) before = before->next;
  if (before == nullptr) return;
  before->next = operation.next;
  if (last == &operation) last = before;
}

void Communicator::check_usable() {
  if (!is_open_.load(std::memory_order_acquire)) {
    std::string text;
    const flagos_status_t found = status(text);
    throw Error(found,
                found == FLAGOS_STATUS_NOT_READY ? "the communicator is still being made" : text);
  }
  check_not_failed();
}

void Communicator::check_not_failed() {
  const flagos_status_t found = status_.load(std::memory_order_acquire);
  if (found == FLAGOS_STATUS_OK) return;
  std::lock_guard lock(failure_mutex_);
  throw Error(found, failure_text_);
}

void Communicator::complete_and_check(Request& request) {
  check_usable();
  if (is_one_sided(request.kind)) {
    one_sided_.check(request);
  } else {
    check_request(request, rank_, size_);
    check_reduction(request);
  }
  check_stream(request);
  const char* const what = name_of(request.kind);
  for (Message& message : request.messages)
    message.memory =
        staging_.check_range(message.address, message.count * dtype_bytes(message.dtype),
                             message.is_send ? "send" : "receive");
  Range source, target;
  if (request.kind == Kind::put) source = {request.source, request.count};
  if (request.kind == Kind::get) target = {request.target, request.count};
  if (request.kind < Kind::barrier) used_ranges(request, rank_, source, target);
  request.source_memory = staging_.check_range(source.start, source.bytes, what);
  request.target_memory = target.start == source.start && target.bytes == source.bytes
                              ? request.source_memory
                              : staging_.check_range(target.start, target.bytes, what);
}

// A handle is never given twice, so what was seen once stays true; whether it is alive others ask.
void Communicator::check_stream(const Request& request) {
  if (request.stream == known_stream_.load(std::memory_order_relaxed) && request.stream != nullptr)
    return;
  flagos_device_t* device = nullptr;
  expect(flagos_stream_get_device(request.stream, &device));
  if (device != device_)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "{}: the stream is of another open device than rank {}", name_of(request.kind),
                rank_);
  known_stream_.store(request.stream, std::memory_order_relaxed);
}

Operation& Communicator::free_operation() {
  std::lock_guard lock(queue_mutex_);
  if (free_ == nullptr) add_operation();
  return *std::exchange(free_, free_->next);
}

Operation& Communicator::make_operation(const Request& request, Operation* spare) {
  Operation& operation = spare != nullptr ? *spare : free_operation();
  operation.request = request;
  operation.owner = this;
  operation.reduction = reduction_of(request, operation.scale);
  operation.value = 0;
  operation.ready.store(false, std::memory_order_relaxed);
  operation.stream_status = FLAGOS_STATUS_OK;
  operation.awaited = operation.recorded = false;
  return operation;
}

Reduction Communicator::reduction_of(const Request& request, double& out_scale) {
  out_scale = 1;
  Reduction reduction{request.dtype, static_cast<std::uint8_t>(request.reduction),
                      config_.deterministic};
  if (request.reduction < first_reduction) return reduction;
  std::lock_guard scales(reduction_mutex_);
  const auto index = static_cast<std::size_t>(request.reduction - first_reduction);
  if (index < most_reductions) out_scale = scales_[index];
  reduction.kind = premultiplied_sum;
  return reduction;
}

// The messages were checked one by one; together they must agree on those to this rank itself.
void Communicator::check(const Request& request) {
  check_usable();
  if (request.kind == Kind::exchange) check_messages_to_self(request, rank_);
}

void Communicator::submit(const Request& request) {
  if (native() != nullptr && native()->takes(request)) return queue_native(request);
  if (clusters() != nullptr && takes_clusters(request)) return queue_clusters(request);
  queue_part(request);
}

void Communicator::queue_part(const Request& request) {
  flagos_capture_status_t capture = FLAGOS_CAPTURE_STATUS_NONE;
  expect(flagos_stream_get_capture_status(request.stream, &capture, nullptr));
  if (capture == FLAGOS_CAPTURE_STATUS_NONE) {
    queue(request);
  } else {
    record(request);
  }
}

bool Communicator::takes_clusters(const Request& request) {
  double scale = 1;
  return clusters()->takes(request, reduction_of(request, scale));
}

// Within this rank's cluster by the plugin, among the clusters, and within again; the stream keeps the order. What was begun
// must be ended, since the others wait for it.
void Communicator::queue_clusters(const Request& request) {
  const NativeClusters& of = *clusters();
  const bool is_reduction = request.kind == Kind::all_reduce;
  const std::uint32_t root = is_reduction ? UINT32_MAX : request.root;
  double scale = 1;
  Reduction reduction = reduction_of(request, scale);
  if (reduction.kind == FLAGOS_COMM_REDUCTION_AVERAGE) reduction.kind = FLAGOS_COMM_REDUCTION_SUM;
  std::lock_guard order(clusters_mutex_);
  const auto within = [&](Kind kind) {
    if (of.native == nullptr) return;
    part_ = request;
    part_.kind = kind;
    if (kind == Kind::broadcast) part_.source = request.target;
    part_.root = of.place_of_representative(root);
    of.native->queue(part_, reduction, scale, of.place);
  };
  std::string text;
  const flagos_status_t status = guard(
      [&] {
        if (is_reduction) within(Kind::reduce);
        part_ = request;
        of.representatives(root, part_.taking_part);
        part_.is_of_cluster = is_reduction && of.native != nullptr;
        if (part_.is_of_cluster) part_.source = request.target;
        queue_part(part_);
        within(Kind::broadcast);
      },
      [&](flagos_status_t, const char* found) { text = found; });
  if (status == FLAGOS_STATUS_OK) return;
  fail(FLAGOS_STATUS_RANK_FAILED,
       fmt::format("{}: rank {} failed: {}", name_of(request.kind), rank_, text));
  throw Error(status, text);
}

// One operation after the other, also where they take different ways on different streams.
void Communicator::queue_native(const Request& request) {
  flagos_capture_status_t capture = FLAGOS_CAPTURE_STATUS_NONE;
  expect(flagos_stream_get_capture_status(request.stream, &capture, nullptr));
  const bool is_captured = capture != FLAGOS_CAPTURE_STATUS_NONE;
  std::lock_guard submit(submit_mutex_);
  // What a call has finished itself is not told to the timeline.
  if (!is_captured && !was_native_.exchange(true) &&
      outstanding_.load(std::memory_order_acquire) != 0)
    expect(flagos_stream_wait_timeline(request.stream, timeline_, next_value_));
  if (wants_plans())
    std::fprintf(stderr, "flagos comm: rank %u of %u: %s, %llu bytes: native (%s)\n", rank_, size_,
                 name_of(request.kind), static_cast<unsigned long long>(bytes_of(request)),
                 native()->plugin().c_str());
  double scale = 1;
  const Reduction reduction = reduction_of(request, scale);
  native()->queue(request, reduction, scale, rank_);
}

// What the plugin found out by itself.
void Communicator::check_native() {
  if (any_native() == nullptr || status_.load(std::memory_order_acquire) != FLAGOS_STATUS_OK)
    return;
  std::string text;
  const flagos_status_t found = any_native()->status(text);
  if (found == FLAGOS_STATUS_OK) return;
  if (native() == nullptr) text = fmt::format("among {}: {}", clusters()->own_ranks(), text);
  // A rank that gives up tells why, then aborts the plugin's; the reason may take a little longer.
  for (int i = 0; i < 20 && found == FLAGOS_STATUS_COMM_ABORTED; ++i) {
    if (look_at_peers(false)) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  fail(FLAGOS_STATUS_CLASS(found) == FLAGOS_STATUS_CLASS_COMM ? found : FLAGOS_STATUS_RANK_FAILED,
       text);
}

void Communicator::queue(const Request& request) {
  std::lock_guard submit(submit_mutex_);
  if (was_native_.exchange(false)) native()->hold(request.stream);
  std::uint32_t is_idle = 0;
  expect(flagos_stream_query(request.stream, &is_idle));
  Operation& operation = make_operation(request, std::exchange(spare_, nullptr));
  const std::uint64_t value = operation.value = ++next_value_;
  operation.awaited = is_idle == 0;
  operation.ready.store(is_idle != 0, std::memory_order_release);
  outstanding_.fetch_add(1, std::memory_order_relaxed);
  const Here here = is_idle != 0 ? try_here(operation) : Here::no;
  if (here == Here::done) {
    spare_ = &operation;
    return;
  }
  if (here == Here::no) {
    std::lock_guard lock(queue_mutex_);
    pending_.push(operation);
  }
  if (is_idle != 0) {
    segment_->head().bell.ring_always();
  } else if (const flagos_status_t status =
                 flagos_stream_launch_host(request.stream, stream_arrived, &operation);
             status != FLAGOS_STATUS_OK) {
    const std::string text = flagos_last_error();
    {
      std::lock_guard lock(queue_mutex_);
      pending_.remove(operation);
      operation.awaited = false;
      operation.next = std::exchange(free_, &operation);
    }
    outstanding_.fetch_sub(1, std::memory_order_relaxed);
    throw Error(status, text);
  }
  expect(flagos_stream_wait_timeline(request.stream, timeline_, value));
}

void Communicator::record(const Request& request) {
  std::lock_guard submit(submit_mutex_);
  Operation& operation = make_operation(request);
  operation.recorded = true;  // stays with the graph: it is never used for another call
  expect(flagos_stream_launch_host(request.stream, graph_arrived, &operation));
}

Communicator::Started Communicator::start_now(Request& request) {
  check_not_failed();
  check_request(request, rank_, size_);
  Operation& operation = make_operation(request);
  const std::uint32_t runs = operation.runs.load(std::memory_order_acquire);
  operation.ready.store(true, std::memory_order_release);
  {
    std::lock_guard lock(queue_mutex_);
    pending_.push(operation);
  }
  outstanding_.fetch_add(1, std::memory_order_relaxed);
  segment_->head().bell.ring_always();
  return {&operation, runs};
}

void Communicator::wait_now(const Started& started) {
  for (std::uint32_t round = 0;
       started.operation->runs.load(std::memory_order_acquire) == started.runs; ++round) {
    if (failure_finished_.load(std::memory_order_acquire)) check_not_failed();
    if (round < 1000) {
      sched_yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  }
}

void Communicator::stream_arrived(void* user_data, flagos_status_t status) {
  Operation& operation = *static_cast<Operation*>(user_data);
  std::shared_lock lock(owners_mutex());
  Communicator* const self = operation.owner;
  if (self == nullptr) return;
  operation.stream_status = status;
  operation.awaited = false;
  operation.ready.store(true, std::memory_order_release);
  self->segment_->head().bell.ring_always();
}

// A graph waits in here until its operation is done: it has no other way to wait.
void Communicator::graph_arrived(void* user_data, flagos_status_t status) {
  Operation& operation = *static_cast<Operation*>(user_data);
  std::lock_guard running(operation.running);
  std::uint32_t runs = 0;
  {
    std::shared_lock lock(owners_mutex());
    Communicator* const self = operation.owner;
    if (self == nullptr || self->status_.load(std::memory_order_acquire) != FLAGOS_STATUS_OK)
      return;
    self->visitors_.fetch_add(1, std::memory_order_acq_rel);
    operation.stream_status = status;
    runs = operation.runs.load(std::memory_order_acquire);
    operation.ready.store(true, std::memory_order_release);
    std::lock_guard queue(self->queue_mutex_);
    self->reached_.push(operation);
  }
  Communicator* const self = operation.owner;
  self->segment_->head().bell.ring_always();
  operation.runs.wait(runs, std::memory_order_acquire);
  self->visitors_.fetch_sub(1, std::memory_order_acq_rel);
}

// Tries to finish a small operation in the call itself, which saves waking a thread, if the other ranks are there.
Communicator::Here Communicator::try_here(Operation& operation) {
  if (bytes_of(operation.request) > here_bytes || staging_.is_remote()) return Here::no;
  std::unique_lock engine(engine_mutex_, std::try_to_lock);
  // Nothing else may be under way or wait for its turn.
  if (!engine.owns_lock() || !execution_.is_done() ||
      outstanding_.load(std::memory_order_acquire) != 1 ||
      visitors_.load(std::memory_order_acquire) != 0 ||
      status_.load(std::memory_order_acquire) != FLAGOS_STATUS_OK)
    return Here::no;
  const std::uint64_t before = completed_.load(std::memory_order_relaxed);
  here_ = &operation;
  is_here_ = true;
  const std::uint64_t call = operation.value;
  const bool has_waited = wait_here(before, patience_here(call));
  is_here_ = false;
  if (std::exchange(here_, nullptr) != nullptr)
    return Here::no;  // another rank's request has failed
  const bool is_done = completed_.load(std::memory_order_relaxed) != before;
  if (!is_done) {
    ++misses_;
    last_move_ns_ = now_ns();
    return Here::begun;
  }
  // Who comes last need not wait, and does not learn whether waiting pays.
  if (has_waited || call % meeting_every == 0) misses_ = 0;
  return Here::done;
}

// How long a call looks out for the others. Ranks that come at different times do not wait in vain each time, but meet again
// at the calls that all of them count alike.
std::uint64_t Communicator::patience_here(std::uint64_t call) const {
  return misses_ < most_misses || call % meeting_every == 0 ? here_ns : 0;
}

// Whether the others were not there at once.
bool Communicator::wait_here(std::uint64_t before, std::uint64_t patience_ns) {
  static const std::uint32_t cores = std::thread::hardware_concurrency();
  const bool is_crowded = local_size_ > cores;
  std::uint64_t start = 0;
  std::uint32_t round = 0;
  for (; completed_.load(std::memory_order_relaxed) == before; ++round) {
    if (status_.load(std::memory_order_relaxed) != FLAGOS_STATUS_OK) break;
    if (step()) continue;
    if (round >= 2 && patience_ns == 0) break;
    relax();
    if (round % 32 != 31) continue;
    if (is_crowded) sched_yield();
    const std::uint64_t now = now_ns();
    if (start == 0) start = now;
    if (now - start >= patience_ns) break;
  }
  return round > 2;
}

flagos_status_t Communicator::synchronize(std::uint64_t timeout_ns) {
  const std::uint64_t start = now_ns();
  while (outstanding_.load(std::memory_order_acquire) != 0) {
    const flagos_status_t found = status_.load(std::memory_order_acquire);
    if (found != FLAGOS_STATUS_OK && failure_finished_.load(std::memory_order_acquire)) {
      std::lock_guard lock(failure_mutex_);
      throw Error(found, failure_text_);
    }
    if (now_ns() - start >= timeout_ns) return FLAGOS_STATUS_TIMEOUT;
    std::unique_lock lock(queue_mutex_);
    idle_.wait_for(lock, std::chrono::milliseconds(5));
  }
  if (any_native() == nullptr) return FLAGOS_STATUS_OK;
  const std::uint64_t waited = now_ns() - start;
  const flagos_status_t done = any_native()->synchronize(
      timeout_ns == FLAGOS_TIMEOUT_INFINITE ? timeout_ns
                                            : timeout_ns - std::min(timeout_ns, waited));
  if (FLAGOS_STATUS_CLASS(done) == FLAGOS_STATUS_CLASS_ANSWER) return done;
  const std::string text = flagos_last_error();
  check_native();
  check_not_failed();
  throw Error(done, text);
}

// ---- progress ----------------------------------------------------------------------------------------------------

void Communicator::work() {
  std::unique_lock engine(engine_mutex_);
  std::uint32_t idle_rounds = 0;
  while (!stop_.load(std::memory_order_acquire)) {
    answer_questions();
    if (status_.load(std::memory_order_acquire) != FLAGOS_STATUS_OK) {
      finish_failure(engine);
      wait_for_work(idle_rounds = 1000, engine);
    } else if (step()) {
      tell_streams(engine);
      idle_rounds = 0;
      last_move_ns_ = now_ns();
    } else {
      wait_for_work(++idle_rounds, engine);
    }
  }
}

// Turns, then lets others run, then sleeps until somebody rings.
void Communicator::wait_for_work(std::uint32_t idle_rounds, std::unique_lock<std::mutex>& engine) {
  const bool is_busy = !execution_.is_done() || one_sided_.has_windows();
  if (is_busy && idle_rounds < 32) return relax();
  if (is_busy && idle_rounds < 200 && (slow_yields_ == 0 || --slow_yields_ == 0)) {
    engine.unlock();
    const std::uint64_t start = now_ns();
    sched_yield();
    // Others have run for long: who sleeps and is woken gets its turn sooner than who asks for it.
    if (now_ns() - start > slow_yield_ns) slow_yields_ = most_slow_yields;
    engine.lock();
    return;
  }
  Bell& bell = segment_->head().bell;
  const std::uint32_t seen = bell.count.load(std::memory_order_acquire);
  // Who has nothing to do is woken by calls alone: other ranks need not pay for it.
  if (is_busy) bell.sleeping.store(1, std::memory_order_seq_cst);
  full_fence();
  const bool failed = status_.load(std::memory_order_acquire) != FLAGOS_STATUS_OK;
  if (failed || !step()) {
    std::uint64_t sleep_ns = 50'000'000;
    if (is_busy)
      sleep_ns = execution_.is_done() || execution_.waits_for() != rank_ ? 5'000'000 : 20'000;
    if (blame_.is_under_way()) sleep_ns = 1'000'000;
    if (stop_.load(std::memory_order_acquire)) sleep_ns = 0;
    engine.unlock();
    bell.wait(seen, sleep_ns);
    engine.lock();
    if (!failed) look_around();
  }
  bell.sleeping.store(0, std::memory_order_relaxed);
  tell_streams(engine);
}

// Whoever waits for the stream makes the next call at once, and then finds the engine free.
void Communicator::tell_streams(std::unique_lock<std::mutex>& engine) {
  const std::uint64_t value = std::exchange(signal_, 0);
  if (value == 0) return;
  engine.unlock();
  const flagos_status_t signalled = flagos_timeline_signal(timeline_, value);
  if (FLAGOS_STATUS_CLASS(signalled) != FLAGOS_STATUS_CLASS_ANSWER)
    fail(FLAGOS_STATUS_RANK_FAILED,
         fmt::format("rank {} cannot tell its streams: {}", rank_, flagos_last_error()));
  engine.lock();
}

bool Communicator::begin_next() {
  Operation* operation = std::exchange(here_, nullptr);
  if (operation == nullptr) {
    std::lock_guard lock(queue_mutex_);
    List& list = pending_.first != nullptr && pending_.first->ready.load(std::memory_order_acquire)
                     ? pending_
                     : reached_;
    operation = list.first;
    if (operation == nullptr) return false;
    list.pop();
  }
  // Operations of our own have numbers of their own: the caller counts its calls.
  constexpr std::uint64_t own_numbers = std::uint64_t{1} << 63;
  const bool is_internal = operation->value == 0 && !operation->recorded;
  if (operation->request.kind < Kind::exchange)
    operation->sequence = is_internal ? own_numbers + next_internal_++ : next_sequence_++;
  if (!is_here_) last_move_ns_ = now_ns();
  execution_.start(*operation, !is_here_);
  last_algorithm_.store(execution_.plan().algorithm, std::memory_order_relaxed);
  if (operation->stream_status != FLAGOS_STATUS_OK)
    throw_error(FLAGOS_STATUS_RANK_FAILED, "{}: the stream of rank {} has failed before it: {}",
                describe(*operation), rank_, flagos_status_get_name(operation->stream_status));
  if (wants_plans()) print_plan(*operation);
  return true;
}

bool Communicator::step() {
  bool moved = false;
  const flagos_status_t status = guard(
      [&] {
        moved = one_sided_.serve();
        if (execution_.is_done()) {
          if (!begin_next()) return;
          moved = true;
        }
        Operation* const operation = execution_.operation();
        moved |= execution_.step();
        if (execution_.is_done()) complete(*operation);
      },
      [&](flagos_status_t failed, const char* text) {
        const bool is_ours = FLAGOS_STATUS_CLASS(failed) != FLAGOS_STATUS_CLASS_COMM;
        fail(is_ours ? FLAGOS_STATUS_RANK_FAILED : failed,
             is_ours ? fmt::format("{}: rank {} failed: {}", what_runs(), rank_, text) : text);
      });
  return moved || status != FLAGOS_STATUS_OK;
}

void Communicator::complete(Operation& operation) {
  completed_.fetch_add(1, std::memory_order_relaxed);
  if (operation.recorded) {
    operation.runs.fetch_add(1, std::memory_order_release);
    operation.runs.notify_all();
    return;
  }
  if (operation.value == 0) {
    internal_.fetch_add(1, std::memory_order_relaxed);
    operation.runs.fetch_add(1, std::memory_order_release);
  }
  if (!is_here_) signal_ = std::max(signal_, operation.value);
  if (!is_here_ || operation.value == 0) {
    std::lock_guard lock(queue_mutex_);
    operation.next = std::exchange(free_, &operation);
  }
  if (outstanding_.fetch_sub(1, std::memory_order_acq_rel) == 1) idle_.notify_all();
}

void Communicator::print_plan(const Operation& operation) const {
  std::fprintf(
      stderr, "flagos comm: rank %u of %u: %s, %llu bytes: %s, %u phases\n", rank_, size_,
      describe(operation).c_str(), static_cast<unsigned long long>(bytes_of(operation.request)),
      name_of(execution_.plan().algorithm), static_cast<unsigned>(execution_.plan().phases.size()));
}

void Communicator::print_topology(const Topology& topology) {
  const auto print = [](const char* name, const Link& link) {
    std::fprintf(stderr, "flagos comm: %s: %.2f us, %.2f us each further message, %.2f GB/s\n",
                 name, link.latency_s * 1e6, link.message_s * 1e6,
                 link.byte_s > 0 ? 1e-9 / link.byte_s : 0);
  };
  std::fprintf(stderr, "flagos comm: %u ranks on %u hosts\n", topology.size,
               static_cast<unsigned>(topology.clusters.size()));
  if (topology.largest_cluster() > 1) print("within a host", topology.local);
  if (topology.clusters.size() > 1) print("between hosts", topology.remote);
}

// ---- failure -----------------------------------------------------------------------------------------------------

flagos_status_t Communicator::status(std::string& out_text) {
  check_native();
  std::lock_guard lock(failure_mutex_);
  out_text = failure_text_;
  const flagos_status_t found = status_.load(std::memory_order_acquire);
  return found == FLAGOS_STATUS_OK && !is_open_.load(std::memory_order_acquire)
             ? FLAGOS_STATUS_NOT_READY
             : found;
}

// The first failure is kept, and told to the others through our segment.
void Communicator::fail(flagos_status_t status, const std::string& text) {
  {
    std::lock_guard lock(failure_mutex_);
    if (status_.load(std::memory_order_acquire) != FLAGOS_STATUS_OK) return;
    failure_text_ = text;
    Failure& failure = segment_->head().failure;
    failure.status = status;
    std::snprintf(failure.text.data(), failure.text.size(), "%s", text.c_str());
    failure.state.store(Failure::set, std::memory_order_release);
    status_.store(status, std::memory_order_release);
  }
  for (Peer& peer : peers_)
    if (peer.segment != nullptr) peer.segment->head().bell.ring_always();
}

// On the communicator's thread: lets go of everything, waits until nobody reads our memory, then tells the streams.
void Communicator::finish_failure(std::unique_lock<std::mutex>& engine) {
  if (failure_finished_.load(std::memory_order_acquire)) {
    std::lock_guard lock(queue_mutex_);
    for (; reached_.first != nullptr; reached_.pop()) {
      reached_.first->runs.fetch_add(1, std::memory_order_release);
      reached_.first->runs.notify_all();
    }
    return;
  }
  if (any_native() != nullptr) any_native()->abort();
  Operation* const running = execution_.operation();
  execution_.drop();
  segment_->head().stopped.store(1, std::memory_order_release);
  for (Peer& peer : peers_)
    if (peer.segment != nullptr) peer.segment->head().bell.ring_always();
  engine.unlock();
  for (int i = 0; i < 900 && is_read_by_others(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  engine.lock();
  if (running != nullptr && running->recorded) {
    running->runs.fetch_add(1, std::memory_order_release);
    running->runs.notify_all();
  }
  flagos_timeline_fail(timeline_, status_.load(std::memory_order_acquire));
  failure_finished_.store(true, std::memory_order_release);
  idle_.notify_all();
}

bool Communicator::is_read_by_others() {
  const auto is_read = [](Peer& peer) {
    if (!peer.takes_pointers || peer.out == nullptr) return false;
    const SegmentHead& head = peer.segment->head();
    return head.stopped.load(std::memory_order_acquire) == 0 &&
           head.closed.load(std::memory_order_acquire) == 0 && !peer.is_consumed(peer.written);
  };
  return std::any_of(peers_.begin(), peers_.end(), is_read) ||
         std::any_of(one_sided_peers_.begin(), one_sided_peers_.end(), is_read);
}

std::string Communicator::what_runs() const {
  return execution_.is_done() ? "between operations" : describe(*execution_.operation());
}

void Communicator::abort() {
  fail(FLAGOS_STATUS_COMM_ABORTED, fmt::format("rank {} aborted the communicator", rank_));
  for (int i = 0;
       i < 1000 && thread_.joinable() && !failure_finished_.load(std::memory_order_acquire); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

// Whether another rank has told that it gave up, and why. What is sent last may be stuck behind messages of an operation
// that waits, but not behind one-sided ones.
bool Communicator::look_at_peers(bool holds_engine) {
  for (std::uint32_t rank = 0; rank < size_; ++rank) {
    if (rank == rank_) continue;
    if (adopt_failure(peers_[rank].segment->head(), holds_engine) ||
        adopt_failure(one_sided_peers_[rank].segment->head(), holds_engine))
      return true;
  }
  return false;
}

bool Communicator::adopt_failure(SegmentHead& head, bool holds_engine) {
  const Failure& failure = head.failure;
  if (failure.state.load(std::memory_order_acquire) != Failure::set) return false;
  std::string text(failure.text.data(), strnlen(failure.text.data(), failure.text.size()));
  if (failure.lacks_operation && holds_engine) text = what_runs() + ": " + text;
  const bool is_known = FLAGOS_STATUS_CLASS(failure.status) == FLAGOS_STATUS_CLASS_COMM;
  fail(is_known ? failure.status : FLAGOS_STATUS_RANK_FAILED, text);
  return true;
}

// When nothing moves: has another rank failed, left or died, or is it overdue?
void Communicator::look_around() {
  if (look_at_peers(true)) return;
  check_native();
  look_for_dead_processes();
  if (execution_.is_done()) return;
  const std::uint32_t culprit = execution_.waits_for();
  const std::string what = describe(*execution_.operation());
  if (culprit != rank_ &&
      peers_[culprit].segment->head().closed.load(std::memory_order_acquire) != 0)
    return fail(FLAGOS_STATUS_RANK_FAILED,
                fmt::format("{}: rank {} has left the communicator", what, culprit));
  const std::uint64_t now = now_ns(), waited = now - last_move_ns_;
  if (waited < config_.timeout_ns) return blame_.drop();
  if (culprit == rank_)
    return fail(FLAGOS_STATUS_COMM_TIMEOUT,
                fmt::format("{}: the device of rank {} did not answer for {} ms", what, rank_,
                            waited / 1'000'000));
  if (!blame_.is_under_way()) blame_.begin(culprit, now);
  Blame::Verdict verdict;
  if (blame_.look(*execution_.operation(), now, verdict))
    fail(verdict.status, fmt::format("{}: rank {} waited {} ms for {}", what, rank_,
                                     waited / 1'000'000, verdict.text));
}

// What another rank asks when it has waited for too long.
void Communicator::answer_questions() {
  Questions& questions = segment_->head().questions;
  const std::uint32_t asked = questions.asked.load(std::memory_order_acquire);
  if (asked == questions.answered.load(std::memory_order_relaxed) ||
      status_.load(std::memory_order_acquire) != FLAGOS_STATUS_OK)
    return;
  questions.answer(asked, what_is_awaited());
  if (network_ != nullptr) network_->ring();
}

Answer Communicator::what_is_awaited() {
  Answer answer;
  answer.sequence = next_sequence_;
  if (!execution_.is_done()) {
    const Operation& operation = *execution_.operation();
    answer.awaited = execution_.waits_for();
    answer.state = answer.awaited == rank_ ? Answer::State::device : Answer::State::peer;
    answer.kind = operation.request.kind;
    if (answer.kind < Kind::exchange) answer.sequence = operation.sequence;
    return answer;
  }
  std::lock_guard lock(queue_mutex_);
  if (pending_.first != nullptr) answer.state = Answer::State::stream;
  return answer;
}

void Communicator::look_for_dead_processes() {
  for (Peer& peer : peers_) {
    if (peer.process < 0 || peer.segment->head().closed.load(std::memory_order_acquire) != 0)
      continue;
    pollfd descriptor{peer.process, POLLIN, 0};
    if (poll(&descriptor, 1, 0) <= 0) continue;
    return fail(FLAGOS_STATUS_RANK_FAILED,
                fmt::format("{}: rank {} (process {}) has died", what_runs(), peer.rank,
                            peer.segment->name().pid));
  }
}

// ---- information and reductions -------------------------------------------------------------------------------------

void Communicator::fill_info(flagos_comm_info_t& info) {
  info.rank = rank_;
  info.size = size_;
  info.local_size = local_size_;
  info.device = device_;
  info.timeout_ns = config_.timeout_ns;
  if (config_.deterministic) info.flags |= FLAGOS_COMM_FLAG_DETERMINISTIC;
  if (config_.non_blocking) info.flags |= FLAGOS_COMM_FLAG_NON_BLOCKING;
  info.operations =
      completed_.load(std::memory_order_acquire) - internal_.load(std::memory_order_acquire);
  info.algorithm = name_of(last_algorithm_.load(std::memory_order_relaxed));
  if (native() == nullptr) return;
  info.operations += native()->operations();
  if (was_native_) info.algorithm = "native";
}

// All ranks know which rank has called with what it must not, so that none waits for ever.
flagos_comm_window_t Communicator::create_window(flagos_address_t address, std::uint64_t bytes) {
  struct Card {
    WindowPart part;
    flagos_comm_window_t window = 0;  // 0: the call was wrong
    std::uint32_t padding = 0;
  };
  check_usable();
  Card card;
  card.part = {address, bytes};
  std::string text;
  const flagos_status_t status = guard([&] { card.window = one_sided_.add_window(card.part); },
                                       [&](flagos_status_t, const char* found) { text = found; });
  const std::vector<Card> cards = gather_from_all(*this, card);
  if (status != FLAGOS_STATUS_OK) throw Error(status, text);
  std::vector<WindowPart> parts;
  for (std::uint32_t rank = 0; rank < size_; ++rank) {
    if (cards[rank].window != card.window) {
      one_sided_.remove_window(card.window);
      throw_error(FLAGOS_STATUS_RANK_MISMATCH,
                  "window_create: rank {} has {}, rank {} has window {}", rank,
                  cards[rank].window == 0 ? "given what cannot be one"
                                          : fmt::format("window {}", cards[rank].window),
                  rank_, card.window);
    }
    parts.push_back(cards[rank].part);
  }
  one_sided_.set_parts(card.window, parts);
  return card.window;
}

void Communicator::destroy_window(flagos_comm_window_t window) {
  if (status_.load(std::memory_order_acquire) == FLAGOS_STATUS_OK)
    static_cast<void>(gather_from_all(*this, window));  // nobody uses it any more
  one_sided_.remove_window(window);
}

flagos_comm_reduction_t Communicator::create_reduction(double scale) {
  std::lock_guard lock(reduction_mutex_);
  for (std::size_t i = 0; i < most_reductions; ++i) {
    if (has_scale_[i]) continue;
    has_scale_[i] = true;
    scales_[i] = scale;
    return first_reduction + static_cast<flagos_comm_reduction_t>(i);
  }
  throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "the communicator has {} reductions already",
              most_reductions);
}

void Communicator::destroy_reduction(flagos_comm_reduction_t reduction) {
  std::lock_guard lock(reduction_mutex_);
  const auto index = static_cast<std::size_t>(reduction - first_reduction);
  if (reduction < first_reduction || index >= most_reductions || !has_scale_[index])
    throw_error(FLAGOS_STATUS_NOT_FOUND, "there is no reduction {} of this communicator",
                reduction);
  has_scale_[index] = false;
}

void Communicator::check_reduction(const Request& request) {
  const bool is_reduction = request.kind == Kind::all_reduce || request.kind == Kind::reduce ||
                            request.kind == Kind::reduce_scatter || request.kind == Kind::scan ||
                            request.kind == Kind::exclusive_scan;
  if (!is_reduction) return;
  Reduction reduction{request.dtype, static_cast<std::uint8_t>(request.reduction), false};
  if (request.reduction >= first_reduction) {
    std::lock_guard lock(reduction_mutex_);
    const auto index = static_cast<std::size_t>(request.reduction - first_reduction);
    if (index < most_reductions && has_scale_[index]) reduction.kind = premultiplied_sum;
  }
  if (request.reduction < 0 ||
      (request.reduction > FLAGOS_COMM_REDUCTION_BIT_XOR && reduction.kind != premultiplied_sum))
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{}: there is no reduction {}",
                name_of(request.kind), request.reduction);
  if (!is_defined(reduction))
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "{}: {} of {} is not defined", name_of(request.kind),
                reduction_name(reduction.kind), dtype_name(request.dtype));
}

}  // namespace flagos::comm
