// Operations that go to the plugins' own collectives, of all ranks or of clusters of them.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <limits>
#include <thread>

#include "base/guard.hpp"
#include "comm/clock.hpp"
#include "comm/communicator.hpp"
#include "comm/gather.hpp"

namespace flagos::comm {
namespace {

// Zeros on a device, and a stream for what is timed with them.
struct TimedBuffer {
  TimedBuffer(flagos_device_t* on, std::uint64_t bytes) : device(on) {
    expect(flagos_stream_create(device, nullptr, &stream));
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    desc.size_bytes = bytes;
    expect(flagos_memory_alloc(device, &desc, &address));
    const std::uint32_t zero = 0;
    expect(flagos_memory_fill(stream, address, &zero, sizeof(zero), bytes));
    expect(flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE));
  }
  ~TimedBuffer() {
    flagos_memory_free(device, address);
    flagos_stream_destroy(stream);
  }
  TimedBuffer(const TimedBuffer&) = delete;
  TimedBuffer& operator=(const TimedBuffer&) = delete;

  flagos_device_t* const device;
  flagos_stream_t* stream = nullptr;
  flagos_address_t address = 0;
};

}  // namespace

void Communicator::make_native() {
  std::string reason;
  native_owner_ = Native::make(*this, reason, clusters_owner_);
  native_.store(native_owner_.get(), std::memory_order_release);
  clusters_.store(clusters_owner_.get(), std::memory_order_release);
  if (clusters() != nullptr && clusters()->is_unasked) measure_clusters();
  if (!wants_plans()) return;
  if (clusters() != nullptr && clusters()->native != nullptr && clusters()->place == 0)
    std::fprintf(stderr, "flagos comm: %s: native collectives of %s within a cluster\n",
                 clusters()->own_ranks().c_str(), clusters()->native->plugin().c_str());
  if (rank_ != 0) return;
  std::fprintf(stderr, "flagos comm: %u ranks: %s%s\n", size_,
               native() != nullptr ? "native collectives of " : "no native collectives: ",
               native() != nullptr ? native()->plugin().c_str() : reason.c_str());
}

// Three parts within and between clusters, or the ordinary way: both timed with zeros, by all ranks together.
void Communicator::measure_clusters() {
  constexpr int times = 3;
  constexpr std::uint64_t sizes[2] = {8 << 10, 1 << 20};
  const TimedBuffer buffer(device_, sizes[1]);
  struct Times {
    double clusters_s = 0, ordinary_s = 0;
  };
  const auto shortest = [&](const Request& request, auto&& call) {
    double least = std::numeric_limits<double>::max();
    for (int i = 0; i < times; ++i) {
      static_cast<void>(gather_from_all(*this, i));  // all begin at once
      const std::uint64_t start = now_ns();
      call(request);
      expect(flagos_stream_synchronize(request.stream, FLAGOS_TIMEOUT_INFINITE));
      least = std::min(least, static_cast<double>(now_ns() - start) * 1e-9);
      internal_.fetch_add(1, std::memory_order_relaxed);  // not the caller's
    }
    return least;
  };
  for (std::size_t row = 0; row < NativeClusters::kinds.size(); ++row) {
    const Kind kind = NativeClusters::kinds[row];
    for (const bool is_large : {false, true}) {
      Request request;
      request.kind = kind;
      request.stream = buffer.stream;
      request.source = request.target = buffer.address;
      request.dtype = FLAGOS_DTYPE_FLOAT32;
      request.count = sizes[is_large] / sizeof(float);
      Times mine;
      mine.clusters_s = shortest(request, [&](const Request& asked) { queue_clusters(asked); });
      mine.ordinary_s = shortest(request, [&](const Request& asked) { queue_part(asked); });
      Times slowest;
      for (const Times& other : gather_from_all(*this, mine)) {
        slowest.clusters_s = std::max(slowest.clusters_s, other.clusters_s);
        slowest.ordinary_s = std::max(slowest.ordinary_s, other.ordinary_s);
      }
      clusters()->pays[row][is_large] = slowest.clusters_s < slowest.ordinary_s;
      if (wants_plans() && rank_ == 0)
        std::fprintf(
            stderr,
            "flagos comm: %s of %llu bytes: %.1f us with native clusters, %.1f us without\n",
            name_of(kind), static_cast<unsigned long long>(sizes[is_large]),
            slowest.clusters_s * 1e6, slowest.ordinary_s * 1e6);
    }
  }
}

bool Communicator::takes_clusters(const Request& request) {
  double scale = 1;
  return clusters()->takes(request, reduction_of(request, scale));
}

// Within this rank's cluster by the plugin, among the clusters, and, where all get the result, within again; the stream keeps
// the order. What was begun must be ended, since the others wait for it.
void Communicator::queue_clusters(const Request& request) {
  const NativeClusters& of = *clusters();
  const bool is_reduction = request.kind != Kind::broadcast;
  const std::uint32_t root = request.kind == Kind::all_reduce ? UINT32_MAX : request.root;
  double scale = 1;
  Reduction reduction = reduction_of(request, scale);
  if (reduction.kind == FLAGOS_COMM_REDUCTION_AVERAGE) reduction.kind = FLAGOS_COMM_REDUCTION_SUM;
  std::lock_guard order(clusters_mutex_);
  flagos_address_t partial = request.target, lent = 0;
  const auto within = [&](Kind kind) {
    if (of.native == nullptr) return;
    part_ = request;
    part_.kind = kind;
    if (kind == Kind::broadcast) part_.source = request.target;
    if (kind == Kind::reduce) part_.target = partial;
    part_.root = of.place_of_representative(root);
    of.native->queue(part_, reduction, scale, of.place,
                     static_cast<std::uint32_t>(of.clusters[of.own].size()));
  };
  std::string text;
  const flagos_status_t status = guard(
      [&] {
        // Only the root of a reduce has memory for a result.
        if (request.kind == Kind::reduce && of.native != nullptr && rank_ != root &&
            of.place == of.place_of_representative(root) && request.count != 0)
          partial = lent =
              of.native->lend(request.stream, request.count * dtype_bytes(request.dtype));
        if (is_reduction) within(Kind::reduce);
        part_ = request;
        of.representatives(root, part_.taking_part);
        part_.is_of_cluster = is_reduction && of.native != nullptr;
        if (part_.is_of_cluster) part_.source = partial;
        queue_part(part_);
        if (request.kind != Kind::reduce) within(Kind::broadcast);
        if (lent != 0) of.native->give_back(request.stream, lent);
      },
      [&](flagos_status_t, const char* found) { text = found; });
  if (status == FLAGOS_STATUS_OK) return;
  check_native();  // whose failure may be the reason, and names the culprits
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
                 name_of(request.kind), static_cast<unsigned long long>(bytes_of(request, size_)),
                 native()->plugin().c_str());
  double scale = 1;
  const Reduction reduction = reduction_of(request, scale);
  native()->queue(request, reduction, scale, rank_, size_);
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

}  // namespace flagos::comm
