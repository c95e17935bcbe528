#include "comm/communicator.hpp"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <shared_mutex>

#include "base/guard.hpp"
#include "base/thread.hpp"
#include "comm/clock.hpp"
#include "comm/gather.hpp"

namespace flagos::comm {
namespace {

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

std::uint64_t next_number() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

bool wants_plans() {
  static const bool wants = [] {
    const char* const value = secure_getenv("FLAGOS_COMM_DEBUG");
    return value != nullptr && std::strcmp(value, "plan") == 0;
  }();
  return wants;
}

// ---- life --------------------------------------------------------------------------------------------------------

Communicator::Communicator(flagos_device_t* device, std::uint32_t rank, std::uint32_t size,
                           const Config& config)
    : number_(next_number()),
      device_(device),
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
  staging_.prepare_reductions(configured_reducer());
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

void Communicator::start() {
  if (network_ != nullptr) network_->start();
  thread_ = start_thread(fmt::format("flagos-comm-{}", rank_), {}, [this] { work(); });
}

void Communicator::place(Topology topology) {
  if (wants_plans() && rank_ == 0) print_topology(topology);
  std::lock_guard engine(engine_mutex_);
  execution_.set_topology(std::move(topology));
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

namespace {

// Of a thread, what it has called last: programs make the same call over and over, and what does not change need not be
// checked again. Of operations without arrays, messages and reductions that may go.
struct Checked {
  std::uint64_t communicator = 0;
  Kind kind = Kind::none;
  flagos_dtype_t dtype = 0;
  flagos_comm_reduction_t reduction = 0;
  std::uint32_t root = 0;
  flagos_address_t source = 0, target = 0;
  std::uint64_t count = 0;
  Range source_range, target_range;

  bool is(std::uint64_t of, const Request& request) const {
    return communicator == of && kind == request.kind && dtype == request.dtype &&
           reduction == request.reduction && root == request.root && source == request.source &&
           target == request.target && count == request.count && !request.has_counts;
  }
};
thread_local Checked last_checked;

}  // namespace

void Communicator::complete_and_check(Request& request) {
  check_usable();
  const Checked& checked = last_checked;
  if (checked.is(number_, request)) {
    check_stream(request);
    return check_memory(request, checked.source_range, checked.target_range);
  }
  if (is_one_sided(request.kind)) {
    one_sided_.check(request);
  } else {
    check_request(request, rank_, size_);
    check_reduction(request);
  }
  check_stream(request);
  for (Message& message : request.messages)
    message.memory =
        staging_.check_range(message.address, message.count * dtype_bytes(message.dtype),
                             message.is_send ? "send" : "receive");
  Range source, target;
  if (request.kind == Kind::put) source = {request.source, request.count};
  if (request.kind == Kind::get) target = {request.target, request.count};
  if (request.kind < Kind::barrier) used_ranges(request, rank_, size_, source, target);
  check_memory(request, source, target);
  const bool has_words_only =
      request.kind < Kind::barrier && !request.has_counts && request.reduction < first_reduction;
  if (has_words_only)
    last_checked = {number_,      request.kind,   request.dtype,  request.reduction,
                    request.root, request.source, request.target, request.count,
                    source,       target};
}

// Where it is now: it may have been freed since the last call.
void Communicator::check_memory(Request& request, const Range& source, const Range& target) const {
  const char* const what = name_of(request.kind);
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
  operation.request.copy(request);
  operation.owner = this;
  operation.bytes = bytes_of(operation.request, size_);
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

void Communicator::queue(const Request& request) {
  std::lock_guard submit(submit_mutex_);
  if (was_native_.exchange(false)) native()->hold(request.stream);
  std::uint32_t is_idle = 0;
  expect(flagos_stream_query(request.stream, &is_idle));
  Operation& operation = make_operation(request, std::exchange(spare_, nullptr));
  const std::uint64_t value = operation.value = ++next_value_;
  operation.awaited = is_idle == 0;
  operation.ready.store(is_idle != 0, std::memory_order_release);
  const Here here = is_idle != 0 ? try_here(operation) : Here::no;
  if (here == Here::done) {
    spare_ = &operation;
    return;
  }
  if (here == Here::no) {
    outstanding_.fetch_add(1, std::memory_order_relaxed);
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
  info.device_reductions = staging_.launches();
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
