// A portable kernel of a user: written with the builder, run by the interpreter.
#include <flagos_compiler.h>
#include <flagos/tile.hpp>

#include <cstdint>
#include <iostream>
#include <vector>

int main() {
  namespace tile = flagos::tile;
  tile::Module module;
  module.kernel("twice", {}, [](tile::Kernel& k) {
    const auto x = k.pointer("x", tile::DType::f32), y = k.pointer("y", tile::DType::f32);
    k.store(k.view(y, {4}, {1}), {0}, k.load(k.view(x, {4}, {1}), {0}, {4}) * 2.0);
  });
  const std::string text = module.text();
  flagos_tile_module_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.text = text.data();
  desc.size_bytes = text.size();
  flagos_tile_module_t* loaded = nullptr;
  std::vector<float> x = {0, 1, 2, 3}, y(4);
  const flagos_tile_argument_t arguments[2] = {{reinterpret_cast<std::uintptr_t>(x.data()), 16},
                                               {reinterpret_cast<std::uintptr_t>(y.data()), 16}};
  flagos_tile_interpret_desc_t launch{};
  launch.struct_size = sizeof launch;
  launch.grid[0] = launch.grid[1] = launch.grid[2] = 1;
  launch.argument_count = 2;
  launch.arguments = arguments;
  launch.argument_stride = sizeof(flagos_tile_argument_t);
  if (flagos_tile_module_create(&desc, &loaded) != FLAGOS_STATUS_OK ||
      flagos_tile_module_interpret(loaded, &launch) != FLAGOS_STATUS_OK) {
    std::cerr << flagos_compiler_last_error() << '\n';
    return 1;
  }
  std::cout << "y[3] is " << y[3] << '\n';
  return flagos_tile_module_destroy(loaded) == FLAGOS_STATUS_OK ? 0 : 1;
}
