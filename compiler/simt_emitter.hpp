// A kernel on its way to SIMT text. Thread t owns the elements t, t + threads, ... of a tile, in row-major order;
// operations on tiles of one size share a loop over them. What needs another element goes through local memory.
#pragma once

#include <fmt/format.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "compiler/element_printer.hpp"
#include "compiler/simt_tiling.hpp"

namespace flagos::compiler {

// Words of local memory.
struct LocalRange {
  std::uint64_t begin = 0, end = 0;
};

// A number per axis, as text.
using AxisText = std::vector<std::string>;

// What a lowering may use; with less where a kernel needs the local memory.
struct SimtPlan {
  TensorCores cores;
  int stages = 1;      // of factors: those of so many rounds less one are copied while one is multiplied
  bool roomy = false;  // rows of factors are padded, and a factor that a loop does not change is stored before it
};

class SimtEmitter : private ElementPrinter {
 public:
  SimtEmitter(const Module& module, const Kernel& kernel, const Target& target, const SimtDialect& dialect,
              std::set<std::string>& helpers, SimtNeeds& needs, SimtPlan plan);
  SimtKernel run();

 private:
  // A value: the same in every thread, known by a formula for each element, or in the registers of its owner.
  struct Value {
    enum class Kind : std::uint8_t { unset, uniform, formula, registers } kind = Kind::unset;
    std::string name;
    const Op* op = nullptr;  // that makes it
    int cost = 0;            // of a formula, in operations
    int uses = 0;            // that are still to come
  };
  struct View {
    std::string pointer;
    bool readonly = false;
    AxisText extents, strides;
  };
  // The loop over the elements of a tile that is being written.
  struct Loop {
    std::int64_t count;
    std::string body;
    std::map<ValueId, std::string> names;  // of the values that it made
    std::map<std::pair<ValueId, std::string>, std::string> formulas;
    std::vector<LocalRange> touched;
  };

  // lower_simt.cpp: the kernel as a whole
  void find_aliases(const Block& block);
  void count_uses(const Block& block);
  void emit_block(const Block& block);
  void emit_op(const Op& op);
  void check_types(const Op& op);

  // simt_emitter.cpp: values, loops, local memory
  ValueId root(ValueId value) const;
  bool in_loop() const { return loop_.has_value() && !outside_; }
  void line(const std::string& text);  // into the loop, or between loops
  template <typename First, typename... Rest>
  void line(fmt::format_string<First, Rest...> format, First&& first, Rest&&... rest) {
    line(fmt::format(format, std::forward<First>(first), std::forward<Rest>(rest)...));
  }
  // While it lives, lines go before the loop that is open: what is the same in every thread depends on nothing in it.
  struct Outside {
    explicit Outside(SimtEmitter& emitter, bool on = true) : emitter_(emitter), before_(emitter.outside_) {
      emitter.outside_ = before_ || on;
    }
    ~Outside() { emitter_.outside_ = before_; }
    Outside(const Outside&) = delete;
    Outside& operator=(const Outside&) = delete;
    SimtEmitter& emitter_;
    bool before_;
  };
  std::string fresh();
  void open(std::int64_t count);  // the loop over `count` elements; none for one
  void close();
  void open_for(ValueId value) { open(type(value).elements()); }
  // The element of the loop, or the one there is.
  std::string own(ValueId value);
  std::string own(const Op& op, std::size_t i) { return own(op.operands[i]); }
  std::string at(ValueId value, const std::string& index);  // of a formula or uniform value
  std::string index_name(const std::string& text);          // of an index that is used more than once
  void define(ValueId value, const std::string& text);
  // A variable that was written out is the value.
  void name(ValueId value, const std::string& variable);
  void used(ValueId value) { --values_[root(value)].uses; }
  void used(const Op& op);
  // Registers, or a variable, that outlive loops.
  void declare(ValueId value, const std::string& name);
  void assign(const std::vector<ValueId>& targets, const std::vector<ValueId>& sources);
  std::uint32_t threads() const { return threads_; }

  LocalRange allocate(const Op& op, std::uint64_t words);
  void release(const LocalRange& range);
  void touch(const LocalRange& range);
  // Waits, before the open loop or after it, until nobody is in the range any more.
  void settle(const LocalRange& range);
  void barrier();  // closes the loop; all local memory that was written is seen
  void forget();   // what is known of memory, where control flow joins
  std::string read_local(DType dtype, const LocalRange& range, const std::string& index) const;
  std::string write_local(DType dtype, const LocalRange& range, const std::string& index,
                          const std::string& value) const;
  // Into local memory, seen by all; as another element type where `held` says so.
  LocalRange put(const Op& op, ValueId value);
  LocalRange put_as(const Op& op, ValueId value, DType held, std::int64_t padding = 0);

  // lower_simt_value.cpp
  bool emit_value_op(const Op& op);
  bool becomes_formula(const Op& op);
  void emit_elementwise(const Op& op);
  void emit_shape(const Op& op);
  AxisText source_index(const Op& op, const AxisText& index) const;
  std::string formula(const Op& op, const std::string& index);

  // lower_simt_control.cpp
  bool emit_control_op(const Op& op);
  void emit_for(const Op& op);
  void emit_if(const Op& op);
  void emit_while(const Op& op);
  void emit_assert(const Op& op);
  void emit_print(const Op& op);
  void bind(ValueId value, ValueId to);
  // A region of scalars, in place: what it yields.
  std::vector<std::string> emit_region(const Op& op, const Block& block, const std::vector<std::string>& arguments);

  // lower_simt_memory.cpp
  bool emit_memory_op(const Op& op);
  struct Place {
    std::string inside, offset;
  };
  void emit_view(const Op& op);
  Place block_place(const Op& op, const View& view, const Type& block);
  Place indexed_place(const Op& op, const View& view, std::size_t others);
  void emit_load(const Op& op, bool indexed);
  void emit_store(const Op& op);
  void emit_scatter(const Op& op);
  void emit_atomic(const Op& op);
  std::string atomic(const Op& op, const View& view, const std::string& offset);
  std::string atomic_loop(const Op& op, const std::string& address, const std::string& value);
  void before_read(const View& view);
  void before_write();

  // lower_simt_fold.cpp, lower_simt_collective.cpp
  bool emit_collective_op(const Op& op);
  struct Fold;
  void emit_reduce(const Op& op);
  void emit_total(const Op& op);
  void emit_scan(const Op& op);
  void fold_lanes(const Op& op, Fold& fold, bool scan);
  std::vector<std::string> fold_combine(const Op& op, const Fold& fold, const std::vector<std::string>& a,
                                        const std::vector<std::string>& b);
  void fold_store(const Fold& fold, const std::string& at, const std::string& slot,
                  const std::vector<std::string>& values);
  std::vector<std::string> fold_load(const Fold& fold, const std::string& at, const std::string& slot);
  void emit_sort(const Op& op);
  void emit_histogram(const Op& op);

  // lower_simt_product.cpp
  void emit_dot(const Op& op);
  std::string add_product(const Op& op, const std::string& sum, const std::string& a, const std::string& b);
  std::string start_sums(const Op& op, ValueId start);
  const Tiling* tiling_of(const Op& op) const { return compiler::tiling_of(tilings_, kernel_, op, plan_.cores); }
  std::int64_t padding_of(const Op& op, std::size_t side) const;
  LocalRange take_range(const Op& op, std::size_t side);
  void give_back_range(const Op& op, std::size_t side, const LocalRange& range);
  void emit_tiled_dot(const Op& op, const Tiling& tiling, const LocalRange& a, const LocalRange& b, ValueId start);
  void emit_product_rows(const Op& op, const LocalRange& a, const LocalRange& b, ValueId start);
  void emit_philox(const Op& op);

  // lower_simt_tensor.cpp
  // A factor in local memory, in padded rows.
  struct Factor {
    std::string base;               // its first word, as text
    std::int64_t pitch = 0;         // of a row, in halves
    bool along = false;             // rows lie along the depth
    bool waits = false;             // its copies are under way
    std::optional<LocalRange> own;  // to be given back behind the product
  };
  // A load, perhaps transposed, that only a product reads: it is copied straight to local memory.
  struct Feed {
    const Op* load = nullptr;
    const Op* trans = nullptr;
    const Op* dot = nullptr;
    std::size_t side = 0;
    std::string base;    // once it is copied ahead
    LocalRange range{};  // of all stages
  };
  using Slice = std::vector<const Op*>;  // what an offset is computed from inside a loop
  // A loop's numbers, as text: its round, the number of rounds, their type; the index that starts and the step.
  struct LoopText {
    std::string round, rounds, wide, kind, low, step;
    std::string index_at(const std::string& which) const {
      return fmt::format("to_{0}(to_{1}({2}) + {3} * to_{1}({4}))", kind, wide, low, which, step);
    }
  };
  void find_feeds(const Block& block);
  void find_feed(const Op& dot, std::size_t side, const std::map<ValueId, const Op*>& made);
  Feed* feed_of(const Op& dot, std::size_t side);
  bool is_deferred(const Op& op) const { return deferred_.count(&op) != 0; }
  static bool is_along(const Feed& feed);
  std::int64_t feed_pitch(const Feed& feed) const;
  std::uint64_t feed_words(const Feed& feed) const;
  void emit_copy(const Feed& feed, const std::string& base);
  Factor take_factor(const Op& op, std::size_t side);
  void put_factor(ValueId value, const LocalRange& range, const Factor& factor, const Piece& piece, bool turned);
  Piece piece_of(const Op& dot) const { return compiler::piece_of(kernel_, dot, plan_.cores).value(); }
  std::string read_piece(const Factor& factor, const std::string& depth, const std::string& across) const;
  void emit_tensor_dot(const Op& op, const Tiling& tiling);
  void emit_pieces(const Op& op, const Tiling& tiling, const Factor& a, const Factor& b, const std::string& sums);
  // Factors that a loop does not change, in local memory before it.
  using Side = std::pair<const Op*, std::size_t>;
  std::vector<Side> keep_factors(const Op& loop);
  void release_factors(const std::vector<Side>& kept);
  std::vector<Feed*> feeds_ahead(const Op& loop, Slice& slice);
  void start_ahead(const Op& loop, const std::vector<Feed*>& feeds, const Slice& slice, const LoopText& text);
  void go_ahead(const Op& loop, const std::vector<Feed*>& feeds, const Slice& slice, const LoopText& text);
  std::string stage_base(const Feed& feed, const std::string& stage) const;
  void emit_ahead(const Op& loop, const std::vector<Feed*>& feeds, const Slice& slice, const std::string& index,
                  const std::string& stage);

  std::uint32_t threads_;
  const SimtPlan plan_;
  const Tilings tilings_;
  std::vector<Feed> feeds_;
  std::set<const Op*> deferred_;
  std::map<Side, Factor> kept_;
  std::set<ValueId> readonly_views_;

  std::vector<ValueId> alias_;
  std::vector<Value> values_;
  std::map<ValueId, View> views_;
  std::string text_;
  std::optional<Loop> loop_;
  unsigned next_ = 0;
  const Op* located_ = nullptr;
  bool outside_ = false;

  std::vector<LocalRange> live_;
  std::vector<LocalRange> touched_;  // since the last barrier
  std::uint64_t local_words_ = 0;
  bool global_read_ = false, global_written_ = false;  // since the last barrier
  bool kernel_reads_ = false, kernel_writes_ = false;  // what is not readonly
  bool fails_ = false;
};

// Nothing behind the pointer is written.
bool is_readonly(const Kernel& kernel, ValueId argument);
// The index of an axis, out of the row-major index of an element.
AxisText split_index(const Type& type, const std::string& index);
std::string join_index(const Type& type, const AxisText& index);

}  // namespace flagos::compiler
