// Blocks that stand together: the whole grid of a cooperative launch, and clusters.
#include <flagos.h>

#include <algorithm>

#include "conformance/cases/work.hpp"

namespace flagos::conformance {
namespace {

constexpr std::uint32_t rounds = 20;
constexpr std::uint32_t block_threads = 32;

// Blocks whose threads meet those of their set, round after round: all of a grid, or `together` neighbours.
class Meeting {
 public:
  Meeting(Context& t, std::uint32_t blocks, std::uint32_t together)
      : t_(t),
        blocks_(blocks),
        together_(together),
        values_(t, 2 * blocks),
        arrived_(t, blocks / together) {
    arguments_ = {arg(values_.at()), arg(arrived_.at()), arg_u32(together), arg_u32(rounds)};
  }

  flagos_launch_desc_t desc(std::uint32_t flags) const {
    flagos_launch_desc_t made = launch_desc({blocks_, 1, 1}, {threads(), 1, 1}, arguments_);
    made.flags = flags;
    return made;
  }
  std::uint32_t threads() const { return std::min(block_threads, t_.info().max_block_threads); }

  // Every round a block takes over its neighbour's number, and adds one.
  void check(std::uint32_t runs = 1) {
    std::vector<std::uint32_t> expected(blocks_);
    for (std::uint32_t b = 0; b < blocks_; ++b) {
      const std::uint32_t first = b / together_ * together_;
      const std::uint32_t from = first + (b - first + rounds) % together_;
      expected[b] = from * from + rounds;
    }
    auto found = values_.read();
    found.resize(blocks_);
    equal_words(t_, found, expected, "every round sees what the blocks did in the round before");
    equal_words(t_, arrived_.read(),
                std::vector<std::uint32_t>(blocks_ / together_, runs * (rounds + 1) * together_),
                "every block came to every meeting");
  }

 private:
  Context& t_;
  const std::uint32_t blocks_, together_;
  Words values_, arrived_;
  std::vector<flagos_argument_t> arguments_;
};

std::uint32_t most_blocks(Context& t, flagos_kernel_t* kernel) {
  std::uint32_t at_once = 0;
  const std::uint32_t threads = std::min(block_threads, t.info().max_block_threads);
  t.ok(flagos_kernel_get_occupancy(kernel, threads, 0, &at_once), "how many blocks run at once");
  t.check(at_once >= 1, "at least one block runs on a unit");
  return at_once * t.info().compute_units;
}

}  // namespace

FLAGOS_CASE(
    "krn.coop.meet",
    {.clause = "FLAGOS_LAUNCH_FLAG_COOPERATIVE: all blocks of the grid are on the device"}) {
  t.require_capability(FLAGOS_DEVICE_CAPABILITY_COOPERATIVE_LAUNCH);
  flagos_kernel_t* const kernel = t.kernel("krn_meet");
  const std::uint32_t most = most_blocks(t, kernel);
  for (const std::uint32_t blocks : {1u, std::min(3u, most), most}) {
    t.subcase(std::to_string(blocks) + " blocks");
    Stream stream(t);
    Meeting meeting(t, blocks, blocks);
    const flagos_launch_desc_t desc = meeting.desc(FLAGOS_LAUNCH_FLAG_COOPERATIVE);
    t.ok(flagos_kernel_launch(stream, kernel, &desc), "launch them together");
    stream.synchronize();
    meeting.check();
  }
}

// A stream's next launch finds what the one before has left, and a second stream waits its turn where there is no room.
FLAGOS_CASE("krn.coop.streams", {.clause = "FLAGOS_LAUNCH_FLAG_COOPERATIVE"}) {
  t.require_capability(FLAGOS_DEVICE_CAPABILITY_COOPERATIVE_LAUNCH);
  flagos_kernel_t* const kernel = t.kernel("krn_meet");
  const std::uint32_t most = most_blocks(t, kernel);
  Stream first(t), second(t);
  Meeting one(t, most, most), other(t, most, most);
  const flagos_launch_desc_t one_desc = one.desc(FLAGOS_LAUNCH_FLAG_COOPERATIVE);
  const flagos_launch_desc_t other_desc = other.desc(FLAGOS_LAUNCH_FLAG_COOPERATIVE);
  t.ok(flagos_kernel_launch(first, kernel, &one_desc), "launch on one stream");
  t.ok(flagos_kernel_launch(second, kernel, &other_desc), "launch on another one");
  first.synchronize();
  second.synchronize();
  one.check();
  other.check();
}

FLAGOS_CASE("krn.coop.prepared", {.clause = "flagos_kernel_prepare, cooperative"}) {
  t.require_capability(FLAGOS_DEVICE_CAPABILITY_COOPERATIVE_LAUNCH);
  t.require(FLAGOS_FEATURE_PREPARED_LAUNCH);
  flagos_kernel_t* const kernel = t.kernel("krn_meet");
  const std::uint32_t most = most_blocks(t, kernel);
  Stream stream(t);
  Meeting meeting(t, most, most);
  const flagos_launch_desc_t desc = meeting.desc(FLAGOS_LAUNCH_FLAG_COOPERATIVE);
  flagos_prepared_t* prepared = nullptr;
  t.ok(flagos_kernel_prepare(kernel, &desc, &prepared), "prepare it");
  const flagos_status_t status = flagos_kernel_launch_prepared(stream, prepared);
  t.ok(flagos_prepared_destroy(prepared), "destroy it");
  t.ok(status, "launch it");
  stream.synchronize();
  meeting.check();
}

FLAGOS_CASE("krn.coop.graph", {.clause = "a node of a graph, cooperative"}) {
  t.require_capability(FLAGOS_DEVICE_CAPABILITY_COOPERATIVE_LAUNCH);
  t.require(FLAGOS_FEATURE_CAPTURE);
  flagos_kernel_t* const kernel = t.kernel("krn_meet");
  const std::uint32_t most = most_blocks(t, kernel);
  Stream stream(t);
  Meeting meeting(t, most, most);
  const flagos_launch_desc_t desc = meeting.desc(FLAGOS_LAUNCH_FLAG_COOPERATIVE);
  flagos_graph_t* graph = nullptr;
  flagos_graph_exec_t* exec = nullptr;
  t.ok(flagos_stream_begin_capture(stream), "begin a capture");
  const flagos_status_t status = flagos_kernel_launch(stream, kernel, &desc);
  t.ok(flagos_stream_end_capture(stream, &graph), "end it");
  t.ok(status, "a cooperative launch in it");
  t.ok(flagos_graph_instantiate(graph, &exec), "instantiate the graph");
  for (int run = 0; run < 3; ++run) t.ok(flagos_graph_exec_launch(exec, stream), "launch it");
  stream.synchronize();
  t.ok(flagos_graph_exec_destroy(exec), "destroy what was instantiated");
  t.ok(flagos_graph_destroy(graph), "destroy the graph");
  meeting.check(3);
}

FLAGOS_CASE("krn.coop.too_many",
            {.clause = "FLAGOS_LAUNCH_FLAG_COOPERATIVE: at most occupancy x compute_units blocks",
             .oracle = Oracle::code}) {
  t.require_capability(FLAGOS_DEVICE_CAPABILITY_COOPERATIVE_LAUNCH);
  flagos_kernel_t* const kernel = t.kernel("krn_meet");
  const std::uint32_t more = most_blocks(t, kernel) + 1;
  Stream stream(t);
  Meeting meeting(t, more, more);
  const flagos_launch_desc_t desc = meeting.desc(FLAGOS_LAUNCH_FLAG_COOPERATIVE);
  t.status(flagos_kernel_launch(stream, kernel, &desc), FLAGOS_STATUS_INVALID_ARGUMENT,
           "one block more than there is room for");
  stream.synchronize();
  t.smoke();
}

FLAGOS_CASE("krn.coop.unsupported", {.clause = "UNSUPPORTED where the capabilities do not have it",
                                     .oracle = Oracle::code}) {
  Stream stream(t);
  flagos_kernel_t* const kernel = t.kernel("noop");
  const auto refuses = [&](std::uint64_t capability, std::uint32_t flags, const char* what) {
    if ((t.info().capabilities & capability) != 0) return;
    t.subcase(what);
    flagos_launch_desc_t desc = launch_desc({2, 1, 1}, {1, 1, 1});
    desc.flags = flags;
    t.status(flagos_kernel_launch(stream, kernel, &desc), FLAGOS_STATUS_UNSUPPORTED, what);
  };
  refuses(FLAGOS_DEVICE_CAPABILITY_COOPERATIVE_LAUNCH, FLAGOS_LAUNCH_FLAG_COOPERATIVE,
          "a cooperative launch");
  refuses(FLAGOS_DEVICE_CAPABILITY_CLUSTER_LAUNCH, FLAGOS_LAUNCH_CLUSTER(2, 1, 1),
          "a launch in clusters");
  stream.synchronize();
  t.smoke();
}

FLAGOS_CASE("krn.cluster.meet",
            {.clause = "FLAGOS_LAUNCH_CLUSTER: blocks of a cluster run at once"}) {
  t.require_capability(FLAGOS_DEVICE_CAPABILITY_CLUSTER_LAUNCH);
  flagos_kernel_t* const kernel = t.kernel("krn_meet");
  for (const std::uint32_t together : {1u, 2u, 4u, 8u}) {
    t.subcase("clusters of " + std::to_string(together));
    Stream stream(t);
    Meeting meeting(t, 5 * together, together);
    const flagos_launch_desc_t desc = meeting.desc(FLAGOS_LAUNCH_CLUSTER(together, 1, 1));
    t.ok(flagos_kernel_launch(stream, kernel, &desc), "launch clusters");
    stream.synchronize();
    meeting.check();
  }
}

FLAGOS_CASE("krn.cluster.dims",
            {.clause = "FLAGOS_LAUNCH_CLUSTER: divides its dimension of the grid",
             .oracle = Oracle::code}) {
  t.require_capability(FLAGOS_DEVICE_CAPABILITY_CLUSTER_LAUNCH);
  Stream stream(t);
  flagos_kernel_t* const kernel = t.kernel("noop");
  const auto launch_in = [&](Dim3 grid, std::uint32_t flags) {
    flagos_launch_desc_t desc = launch_desc(grid, {1, 1, 1});
    desc.flags = flags;
    return flagos_kernel_launch(stream, kernel, &desc);
  };
  t.ok(launch_in({4, 6, 2}, FLAGOS_LAUNCH_CLUSTER(2, 3, 1)), "clusters in two dimensions");
  t.status(launch_in({4, 1, 1}, FLAGOS_LAUNCH_CLUSTER(3, 1, 1)), FLAGOS_STATUS_INVALID_ARGUMENT,
           "clusters of 3 in a row of 4");
  t.status(launch_in({4, 4, 1}, FLAGOS_LAUNCH_CLUSTER(2, 0, 1)), FLAGOS_STATUS_INVALID_ARGUMENT,
           "clusters without an extent");
  t.status(launch_in({255, 255, 255}, FLAGOS_LAUNCH_CLUSTER(255, 255, 255)),
           FLAGOS_STATUS_INVALID_ARGUMENT, "clusters of more blocks than any chip has room for");
  stream.synchronize();
  t.smoke();
}

}  // namespace flagos::conformance
