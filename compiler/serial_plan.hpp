// How the serial schedule sees a kernel: which values are computed where they are used (virtual), and which have a place.
#pragma once

#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "compiler/module.hpp"

namespace flagos::compiler::serial {

// One axis of a tile as a loop sees it: offset + coefficient * loop variable; -1 is no variable.
struct Index {
  int variable = -1;
  std::int64_t coefficient = 0;
  std::int64_t offset = 0;
  friend bool operator==(const Index&, const Index&) = default;
};
using IndexMap = std::vector<Index>;  // for each axis of a tile

// The extents of a tile that are not 1, which are the loops over it; at least one.
using Space = std::vector<std::int64_t>;
Space space_of(const Type& type);
// Each axis by its loop.
IndexMap identity_map(const Type& type);

// How an operation is done.
enum class Work : std::uint8_t {
  none,    // a view of something else, or cheap: where it is used
  scalar,  // a statement
  fused,   // in a loop over a tile, with others
  call,    // a loop nest of its own
  control  // has regions, or reports
};

class Plan {
 public:
  explicit Plan(const Kernel& kernel);

  Work work(const Op& op) const;
  const Op* definition(ValueId value) const { return definitions_[value]; }
  const Type& type(ValueId value) const { return kernel_.values[value]; }
  bool is_virtual(ValueId value) const {
    return definitions_[value] != nullptr && type(value).is_tile() && work(*definitions_[value]) == Work::none;
  }
  bool needs_buffer(ValueId value) const { return needs_buffer_[value]; }
  void demand_buffer(ValueId value) { needs_buffer_[value] = true; }
  std::size_t uses(ValueId value) const { return uses_[value]; }
  // The block that defines the value; operations of one block that no control operation parts are one segment.
  const Block* block_of(ValueId value) const { return blocks_[value]; }
  std::size_t segment_of(const Op& op) const { return segments_.at(&op); }

  // What operand `k` of `op` is asked for when the result is asked for at `map`.
  IndexMap map_operand(const Op& op, std::size_t k, const IndexMap& map) const;
  // Calls f(value, map) for each tile with a place, and each scalar, that computing `value` at `map` reads. `linear` is
  // true where a reshape reads a tile in another shape: the map is then of that shape.
  using Leaf = std::function<void(ValueId value, const IndexMap& map, bool linear)>;
  void visit(ValueId value, const IndexMap& map, const Leaf& leaf) const;
  // The same for all that an operation reads when it is done over its whole space.
  void visit_leaves(const Op& op, const Leaf& leaf) const;

  // Where a factor of a product is read from; nothing where it must have a place of its own. The map has variable 0 for
  // rows and 1 for columns.
  struct Source {
    ValueId value;   // a tile with a place, or what `load` gives
    const Op* load;  // else NULL
    IndexMap map;
  };
  std::optional<Source> source_of(ValueId value) const;

  // The argument that a view is made of, and whether what is behind two of them may be the same memory.
  ValueId root(ValueId view) const;
  bool may_alias(ValueId root, ValueId other) const;

 private:
  void visit_operands(const Op& op, ValueId result, const IndexMap& map, const Leaf& leaf) const;
  void enter(const Block& block);
  void classify(const Op& op);
  bool is_cheap(const Op& op) const;
  bool is_never_written(ValueId root) const;
  void demand(const Block& block);
  void demand_across_segments(const Block& block);
  void materialise(ValueId value);

  const Kernel& kernel_;
  std::vector<const Op*> definitions_;
  std::vector<const Block*> blocks_;
  std::vector<std::size_t> uses_;
  std::vector<bool> needs_buffer_;
  std::vector<bool> has_load_;  // of a virtual value: it reads memory
  std::vector<ValueId> written_;
  std::unordered_map<const Op*, Work> work_;
  std::unordered_map<const Op*, std::size_t> segments_;
  std::size_t segment_ = 0;
};

// A reshape that only adds or removes axes of extent 1.
bool keeps_space(const Type& from, const Type& to);
bool has_fact(const Kernel& kernel, ValueId argument, std::string_view fact);

}  // namespace flagos::compiler::serial
