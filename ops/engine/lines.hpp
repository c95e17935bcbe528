// The engine of operators that work along lines of a tensor: softmax, norms, reductions. A kernel is written once, against
// LineKernel; the engine lays rows (the axis is innermost) and columns (it is not) into tiles, and long lines into chunks.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/inline_vector.hpp"
#include "ops/engine/launch.hpp"

namespace flagos::ops {

// What of the whole shape an operand has elements for; along all other axes it repeats.
enum class Part : std::uint8_t { full, line, along };

struct LineOperand {
  Tensor tensor;  // expanded to the whole shape
  Part part = Part::full;
  bool written = false;
  bool read = false;  // although it is written
};
using LineOperands = InlineVector<LineOperand, 8>;

// How the lines of one call are cut: everything that the text of a kernel depends on.
struct LinePlan {
  struct Operand {
    DType dtype;
    Part part;
    bool written;
    bool neighbours;  // along the last axis of its tiles
  };
  InlineVector<Operand, 8> operands;
  bool columns = false;  // tiles are [width, height]: the lines lie side by side
  bool whole = false;    // a line fits into one tile
  bool split = false;    // a line is cut over programs
  bool rounds = false;   // a line is several runs of elements, one a round
  bool serial = false;   // the device's programs are
  int width = 0;         // of a tile, along the line
  int height = 0;        // lines of a tile
  Key key(Key key) const;
};

// A kernel while it is written: one tile of lines. Tiles of elements have the shape of a tile; values of lines ("line
// tiles") have an extent of 1 along `axis`, so that both meet in expressions.
class LineKernel {
 public:
  tile::Kernel& k;
  const LinePlan& plan;
  tile::DType dtype;                 // that is computed in
  int axis;                          // of a tile, along the line
  std::vector<tile::Tile> numbers;   // of `dtype`
  std::vector<tile::Tile> integers;  // i64
  tile::Tile length;                 // of a line, i64
  tile::Tile low, high;              // what this program sees of it

  tile::Tile count() const { return cast(length, dtype); }
  tile::Tile line(double value) const { return full(line_shape(), dtype, value); }
  // Elements at `at`, cast to `dtype` (or `as`); `pad` behind the end.
  tile::Tile load(std::size_t operand, const tile::Tile& at, const tile::Operand& pad = 0);
  tile::Tile load(std::size_t operand, const tile::Tile& at, const tile::Operand& pad,
                  tile::DType as);
  void store(std::size_t operand, const tile::Tile& at, const tile::Tile& value);
  tile::Tile load_line(std::size_t operand) { return load_line(operand, dtype); }
  tile::Tile load_line(std::size_t operand, tile::DType as);
  void store_line(std::size_t operand, const tile::Tile& value);
  // Of a part of a line: what Lines::of_states reads.
  void store_state(std::size_t state, const tile::Tile& value);
  // What is loaded from here on is of this round.
  void enter_round(const tile::Tile& round) {
    round_ = round;
    loaded_.clear();
  }
  // The rounds of the line that this program sees.
  const tile::Tile& first_round() const { return first_round_; }
  const tile::Tile& end_of_rounds() const { return end_of_rounds_; }
  // What another program kept of a part, as `as`; and which part this one sees.
  tile::Tile load_state(std::size_t state, const tile::Tile& part, tile::DType as) const;
  const tile::Tile& part() const { return split_; }
  // Which elements of a tile at `at` are part of the line.
  tile::Tile inside(const tile::Tile& at) const;
  tile::Tile sum(const tile::Tile& x) const { return expand(tile::sum(x, axis), axis); }
  tile::Tile most(const tile::Tile& x) const { return expand(tile::reduce_max(x, axis), axis); }

  // `body(at, carried)` for every chunk of the line.
  template <std::size_t N, typename F>
  std::array<tile::Tile, N> chunks(const std::array<tile::Tile, N>& initial, F body) {
    if (plan.whole) return body(k.constant(tile::DType::i64, 0), initial);
    return k.loop(low, high, k.constant(tile::DType::i64, plan.width), initial,
                  [&](const tile::Tile& at, const auto&... carried) {
                    return body(at, std::array<tile::Tile, N>{carried...});
                  });
  }
  template <typename F>
  void each_chunk(F body) {
    if (plan.whole) return body(k.constant(tile::DType::i64, 0));
    k.loop(low, high, k.constant(tile::DType::i64, plan.width), body);
  }

  std::vector<int> tile_shape() const {
    return plan.columns ? std::vector<int>{plan.width, plan.height}
                        : std::vector<int>{plan.height, plan.width};
  }
  std::vector<int> line_shape() const {
    return plan.columns ? std::vector<int>{1, plan.height} : std::vector<int>{plan.height, 1};
  }
  tile::Tile full(const std::vector<int>& shape, tile::DType of, double value) const {
    return of >= tile::DType::f16 ? k.full(of, shape, value)
                                  : k.full(of, shape, static_cast<long long>(value));
  }

 private:
  friend class Lines;
  LineKernel(tile::Kernel& kernel, const LinePlan& of_call, tile::DType computed, tile::Tile extent)
      : k(kernel),
        plan(of_call),
        dtype(computed),
        axis(of_call.columns ? 0 : 1),
        length(extent),
        low(extent),
        high(extent),
        round_(extent),
        rounds_(extent),
        first_round_(extent),
        end_of_rounds_(extent),
        split_(extent),
        part_(extent),
        outer_(extent) {}
  tile::View view(std::size_t operand) const;
  tile::View states(std::size_t state) const;  // [part and outer axes, inner axis]
  std::vector<tile::Operand> corner(std::size_t operand, const tile::Tile& at) const;
  std::vector<int> block_shape(std::size_t operand) const;

  std::vector<tile::Pointer> pointers_;
  std::vector<tile::Tile> extents_;               // of the kept axes
  std::vector<std::vector<tile::Tile>> strides_;  // [operand][axis], the line last
  std::vector<tile::Tile> place_;                 // on the kept axes
  std::map<std::pair<std::size_t, std::string>, tile::Tile> loaded_;
  tile::Tile round_, rounds_, first_round_, end_of_rounds_;  // where plan.rounds
  std::vector<tile::Tile> round_strides_;                    // [operand]
  tile::Tile split_, part_,
      outer_;  // which part of the line, how long; the place on the first two kept axes
};

class Lines {
 public:
  using Write = std::function<void(LineKernel&)>;

  enum Order : std::uint8_t {
    any,        // of the elements of a line
    row_major,  // as they are in the shape
    in_rounds  // any; where the axes of a line cannot be joined into one, its kernel goes over one of them in rounds
  };
  // Lines along the axes of `along` (bits). Operands whose axes cannot be joined are copied into workspace, and back after
  // run().
  Lines(Call& call, std::span<const std::int64_t> shape, std::uint32_t along,
        const LineOperands& operands, Order order = any);

  std::int64_t length() const { return length_ * rounds_; }
  std::int64_t lines() const { return extents_[0] * extents_[1] * extents_[2]; }
  const LinePlan& plan() const { return plan_; }
  const LineOperands& operands() const { return operands_; }
  // For what depends on the elements before: tiles of lines that lie side by side have one element of each; the others
  // are small, since they are walked several times.
  void shape_for_scan();
  // A number that the kernel gets.
  Lines& number(double value) {
    numbers_.push_back(value);
    return *this;
  }
  Lines& integer(std::int64_t value) {
    integers_.push_back(value);
    return *this;
  }
  // Queues the kernel; `key` says what its text depends on beside the plan.
  void run(const Key& key, tile::DType computed, const Write& write) {
    run_split(key, computed, 1, {}, write);
    copy_back();
  }
  // How many programs should share a line.
  std::int64_t splits() const;
  // The kernel for parts of lines, which keeps states in workspace. Gives how many parts there are.
  std::int64_t run_split(const Key& key, tile::DType computed, std::int64_t splits,
                         std::span<const std::pair<flagos_address_t, DType>> states,
                         const Write& write);
  // The lines of these states, one state after the other, with the first `outputs` operands before them.
  Lines of_states(std::size_t outputs, std::span<const std::pair<flagos_address_t, DType>> states,
                  std::int64_t parts) const;
  // Results that were written to workspace go to the caller.
  void copy_back();

 private:
  explicit Lines(Call& call) : call_(call) {}
  void lay(std::span<const std::int64_t> shape, std::uint32_t along, Order order);
  void make_compact(std::span<const std::int64_t> shape, std::uint32_t along);
  // What is cut where a line is shared by programs.
  std::int64_t cut_length() const { return plan_.rounds ? rounds_ : length_; }
  void choose();
  void describe_operands();

  Call& call_;
  LineOperands operands_;
  std::vector<std::pair<Tensor, Tensor>> to_copy_back_;  // from workspace, to the caller
  std::list<Workspace> workspaces_;
  std::array<std::int64_t, 3> extents_{};
  std::int64_t length_ = 0, rounds_ = 1;  // of a line: elements of a round, and how many of them
  InlineVector<std::array<std::int64_t, 4>, 8> strides_;
  InlineVector<std::int64_t, 8> round_strides_;
  LinePlan plan_;
  InlineVector<double, 8> numbers_;
  InlineVector<std::int64_t, 8> integers_;
};

// The elements of one tensor to another of the same shape and type, in any layout.
void copy_elements(Call& call, const Tensor& from, const Tensor& to);

}  // namespace flagos::ops
