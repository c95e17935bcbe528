// Operations that go to the plugins' own collectives, of all ranks or of clusters of them.
#include <chrono>
#include <cstdio>
#include <thread>

#include "base/guard.hpp"
#include "comm/clock.hpp"
#include "comm/communicator.hpp"

namespace flagos::comm {

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

}  // namespace flagos::comm
