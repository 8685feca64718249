import { askService } from './ask';
import { TryStore } from './store';

/** The pictures of this visit; other panels add to them. */
export const store = new TryStore(askService);
