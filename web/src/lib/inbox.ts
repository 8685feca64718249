/** Pictures that another panel has for "Try it", until it is opened: panels do not know one another. */
let waiting: File[] = [];

export function givePicture(file: File) {
  waiting.push(file);
}

export function takePictures(): File[] {
  const taken = waiting;
  waiting = [];
  return taken;
}
